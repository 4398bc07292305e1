"""Texts out of a column of .csv and .tsv files: quoting, and what is no table."""

import gzip
from pathlib import Path

import pytest

from gato_pipelines.documents.texts import columns as csv_texts
from gato_pipelines.documents.texts.columns import ColumnError, read_csv
from gato_pipelines.documents.texts.records import TextRecord


def read(path: Path, data: bytes, key: str = "text") -> list[TextRecord]:
    path.write_bytes(data)
    return list(read_csv(path, path.name, key))


def test_quoted_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    data = '\ufeffid,text\r\n1,"one, ""two""\nthree"\r\n\r\n2,grün\r\n3,  \r\n'.encode()
    assert read(tmp_path / "a.csv", data) == [
        TextRecord("row 0", 'one, "two"\nthree'),
        TextRecord("row 1", "grün"),
        TextRecord("row 2", None, "the text is empty"),
    ]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".tsv.gz"])
def test_a_byte_order_mark_before_a_quoted_name_is_no_text(tmp_path: Path, suffix: str) -> None:
    mark = "," if suffix.startswith(".csv") else "\t"
    data = f'\ufeff"text"{mark}id\r\n"one, two"{mark}1\r\n'.encode()
    data = gzip.compress(data) if suffix.endswith(".gz") else data
    assert read(tmp_path / f"a{suffix}", data) == [TextRecord("row 0", "one, two")]


@pytest.mark.parametrize("suffix", ["tsv", "tsv.gz"])
@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        ('1\t"Hello", she said\n2\tb\n', ['"Hello", she said', "b"]),
        ('1\t"open\n2\tb\n3\tshut" and more\n', ['"open', "b", 'shut" and more']),
        ('1\t"in one, ""two"""\n2\t"over\nlines"\n', ['in one, "two"', "over\nlines"]),
    ],
)
def test_quotes_of_a_tsv_are_text_unless_all_are_those_of_csv(
    tmp_path: Path, suffix: str, rows: str, texts: list[str]
) -> None:
    data = f"id\ttext\n{rows}".encode()
    found = read(tmp_path / f"a.{suffix}", gzip.compress(data) if suffix.endswith("gz") else data)
    assert [record.text for record in found] == texts


def test_a_damaged_tsv_is_quoted_as_what_comes_before_the_damage(tmp_path: Path) -> None:
    rows = "".join(f'{row}\t"{row * 7919} and ""{row * 104729}"""\n' for row in range(300))
    data = gzip.compress(f"id\ttext\n{rows}".encode())
    *found, last = read(tmp_path / "a.tsv.gz", data[: len(data) // 2])
    assert len(found) > 50
    assert [record.text for record in found] == [f'{row * 7919} and "{row * 104729}"' for row in range(len(found))]
    assert last.reason.startswith("the rest of the file cannot be read (")


def test_columns_between_other_marks_are_named(tmp_path: Path) -> None:
    with pytest.raises(ColumnError, match=r"it has 'id;text', columns between commas are wanted$"):
        read(tmp_path / "a.csv", b"id;text\n1;hello\n")


@pytest.mark.parametrize(("name", "data"), [("a.tsv", b"text\tn\none, two\t1"), ("a.csv.gz", b'text,n\n"one, two",1')])
def test_tabs_and_compression(tmp_path: Path, name: str, data: bytes) -> None:
    assert read(tmp_path / name, gzip.compress(data) if name.endswith(".gz") else data) == [
        TextRecord("row 0", "one, two")
    ]


def test_bad_rows_do_not_hide_their_neighbours(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", b"text,n\none,1\nHello, world,2\nnarrow\ngr\xfcn,3\nlast,4\n")
    assert [record.text or record.reason for record in found] == [
        "one",
        "the row has 3 fields, the first line 2",
        "the row has 1 fields, the first line 2",
        "the text is not valid UTF-8",
        "last",
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'text\none\n"not closed\ntwo\nthree\n', "unexpected end of data"),
        (b'text\none\n"a \\"quote\\" in it"\ntwo\n', "',' expected after '\"'"),
        (b'text\none\n"' + b"x" * 200 + b'"\ntwo\n', "the document is longer than 64 MiB"),
    ],
)
def test_quotes_that_do_not_close_cost_what_comes_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, reason: str
) -> None:
    monkeypatch.setattr(csv_texts, "MAX_PASSAGE_BYTES", 100)
    first, last = read(tmp_path / "a.csv", data)
    assert first.text == "one"
    assert last == TextRecord("row 1", None, f"the rest of the file cannot be read ({reason})")


def test_damage_costs_what_comes_after(tmp_path: Path) -> None:
    data = gzip.compress(b"text\n" + b"".join(b"%d %d\n" % (n, n**7) for n in range(2000)))
    *before, last = read(tmp_path / "a.csv.gz", data[: len(data) // 2])
    assert len(before) > 500
    assert [record.text for record in before] == [f"{n} {n**7}" for n in range(len(before))]
    assert last == TextRecord(f"row {len(before)}", None, "the rest of the file cannot be read (it is cut off)")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b"id,content\n1,x\n",
            r"a\.csv names no column 'text': it has 'id', 'content' \(--text-key content may be meant\)",
        ),
        (b"id;text\n1;x\n", r"a\.csv names no column 'text': it has 'id;text'"),
        (b"text,text\nx,y\n", r"a\.csv names 'text' 2 times"),
    ],
)
def test_a_column_that_is_not_there(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(ColumnError, match=said):
        read(tmp_path / "a.csv", data)


def test_an_empty_file_has_no_row(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", b"") == []
