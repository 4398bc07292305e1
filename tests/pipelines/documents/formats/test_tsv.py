"""Rows by number: the same ones wherever blocks end, with quotes as text and quotes as csv writes them."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.errors import EpisodeError
from gato_pipelines.documents.formats import tsv
from gato_pipelines.documents.formats.tsv import open_rows

PLAIN = 'say "hi" to\thttp://a\n"half open\thttp://b\n'
COLUMNS = st.text(st.sampled_from('ab "\t\n\r'), max_size=6)


def rows(path: Path, quoting: tsv.Quoting = "auto") -> list[list[str]]:
    found = open_rows(path, quoting)
    return [found.columns(number) for number in range(len(found))]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tsv") / "a.tsv"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("begin", ["", "\ufeff"])
def test_quotes_that_are_text(file: Path, begin: str, end: str) -> None:
    file.write_text(begin + PLAIN.replace("\n", end), newline="")
    assert rows(file) == [['say "hi" to', "http://a"], ['"half open', "http://b"]]


@given(table=st.lists(st.tuples(COLUMNS, COLUMNS), min_size=1, max_size=6), block=st.integers(1, 40), bom=st.booleans())
def test_what_csv_writes_is_what_is_read(file: Path, table: list[tuple[str, str]], block: int, bom: bool) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(table)
    file.write_bytes((("\ufeff" if bom else "") + text.getvalue()).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tsv, "_BLOCK", block)
        assert rows(file) == [list(row) for row in table]


@pytest.mark.parametrize("text", ['a "quoted" word\tb\n', '"open\tb\n', '"a"b\tc\n', 'a""\tb\n', '"a\tb"c\n', "a\tb\n"])
def test_quotes_that_csv_would_not_write_so(file: Path, text: str) -> None:
    file.write_text(text)
    assert rows(file) == [text.rstrip("\n").split("\t")]
    assert not open_rows(file, "auto").is_quoted


def test_it_can_be_said(file: Path) -> None:
    file.write_text('"a"\tb\n')
    assert rows(file) == [["a", "b"]]
    assert rows(file, "none") == [['"a"', "b"]]
    file.write_text('"a\nb"\tc\nd"\te\n')
    assert rows(file, "auto") == [['"a'], ['b"', "c"], ['d"', "e"]]
    assert rows(file, "csv")[0] == ["a\nb", "c"]


def test_a_column_of_any_length_within_a_row(file: Path) -> None:
    file.write_text('"' + "x" * 500_000 + '"\tb\n')
    assert [len(value) for value in rows(file)[0]] == [500_000, 1]
    file.write_text('"' + "x" * 1_100_000 + '"\tb\n')
    with pytest.raises(EpisodeError, match="the row is longer than 1 MiB"):
        rows(file)


@pytest.mark.parametrize("block", [1, 3, 1 << 24])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n"])
def test_blank_lines_are_no_rows(file: Path, monkeypatch: pytest.MonkeyPatch, block: int, end: str, last: str) -> None:
    monkeypatch.setattr(tsv, "_BLOCK", block)
    file.write_text(("\na\tb\n\n\nc\td\nx\n\n" + "e\tf" + last).replace("\n", end), newline="")
    assert rows(file) == [["a", "b"], ["c", "d"], ["x"], ["e", "f"]]
    assert open_rows(file).blank == 4


def test_blank_lines_inside_of_quotes_are_text(file: Path) -> None:
    file.write_text('"a\n\nb"\tc\n\n"d"\te\n')
    assert rows(file) == [["a\n\nb", "c"], ["d", "e"]]
    assert open_rows(file, "auto").blank == 1
