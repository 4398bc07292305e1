"""Texts out of JSON lines, text files, parquet and TFRecord, good and bad ones."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gato_data.errors import InputError
from gato_pipelines.documents.texts import records as texts
from gato_pipelines.documents.texts.records import TextRecord, read_plain, read_tfrecord, read_whole
from gato_pipelines.documents.texts.rows import _dictionary_bytes, read_rows, read_texts, row_parts
from gato_pipelines.files import streams
from gato_schemas.index import Part
from gato_schemas.tfrecord import frame
from gato_schemas.wire import binary, encode_example


def part(path: Path, first: int = 0, count: int = 0) -> Part:
    return Part(path.name, "text", path.stat().st_size, first, count)


class TestPlain:
    def test_a_whole_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_bytes(b"\xef\xbb\xbfone\n\ntwo\n")
        assert read_whole(path, "books/a.txt") == TextRecord("books/a.txt", "one\n\ntwo\n")

    @pytest.mark.parametrize(("data", "reason"), [(b"", "the text is empty"), (b"\xff", "the text is not valid UTF-8")])
    def test_a_bad_file(self, tmp_path: Path, data: bytes, reason: str) -> None:
        (tmp_path / "a.txt").write_bytes(data)
        assert read_whole(tmp_path / "a.txt", "a.txt") == TextRecord("a.txt", None, reason)

    def test_a_file_that_is_too_long(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(texts, "MAX_PASSAGE_BYTES", 10)
        (tmp_path / "a.txt").write_bytes(b"x" * 11)
        assert read_whole(tmp_path / "a.txt", "a.txt").reason.startswith("the document is longer than")

    def test_a_damaged_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt.gz").write_bytes(b"no gzip")
        assert read_whole(tmp_path / "a.txt.gz", "a.txt.gz").reason.startswith("the rest of the file cannot be read")

    @pytest.mark.parametrize(
        ("encoding", "name"), [("utf-16", "UTF-16"), ("utf-16-be", "UTF-16"), ("utf-32", "UTF-32")]
    )
    @pytest.mark.parametrize("separator", [b"", b"|"])
    def test_another_encoding_is_named(self, tmp_path: Path, encoding: str, name: str, separator: bytes) -> None:
        path = tmp_path / "a.txt"
        path.write_bytes("\ufeffone|two".removeprefix("" if encoding.endswith("be") else "\ufeff").encode(encoding))
        found = list(read_plain(path, part(path), separator)) if separator else [read_whole(path, "a.txt")]
        reason = f"the text is {name}, UTF-8 is wanted: iconv -f {name} -t UTF-8 converts it"
        assert [record.reason for record in found] == [reason]

    def test_other_encodings_without_a_mark_are_no_text_either(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes("Größe".encode("utf-16-le"))
        assert "UTF-16" in read_whole(tmp_path / "a.txt", "a.txt").reason
        (tmp_path / "a.txt").write_bytes(b"a text with one NUL \0 in it")
        assert read_whole(tmp_path / "a.txt", "a.txt").text == "a text with one NUL \0 in it"

    def test_documents_between_separators(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_bytes("one<|end|>\n<|end|>zwölf".encode())
        found = list(read_plain(path, part(path), b"<|end|>"))
        assert found == [TextRecord("byte 0", "one"), TextRecord("byte 18", "zwölf")]


class TestTfrecord:
    def test_a_shard_of_texts(self, tmp_path: Path) -> None:
        path = tmp_path / "pg19-train.tfrecord-00000-of-00001"
        with path.open("wb") as file:
            for features in (
                {"text": binary([b"one"]), "meta/body": binary([b"deep"])},
                {"text": binary([b"gr\xfcn"])},
                {"text": binary([b"a", b"b"])},
                {"title": binary([b"x"])},
            ):
                data = encode_example(features)[0]
                header, footer = frame(data)
                file.write(header + data + footer)
        found = list(read_tfrecord(path, part(path), "text"))
        assert [record.text for record in found] == ["one", None, None, None]
        assert found[1].reason == "the text is not valid UTF-8"
        assert found[2].reason == "there are 2 texts under 'text', one was wanted"
        assert found[3].reason.startswith("there is no text under 'text'")
        assert next(read_tfrecord(path, part(path), "meta.body")).text == "deep"
        with path.open("ab") as file:
            file.write(b"garbage")
        last = list(read_tfrecord(path, part(path), "text"))[-1]
        assert last.key == "record 4"
        assert last.reason.startswith("the rest of the file cannot be read")


class TestParquet:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        rows = [f"text {number}" if number % 5 else None for number in range(20)]
        table = pa.table({"n": list(range(20)), "text": rows, "meta": [{"body": f"deep {n}"} for n in range(20)]})
        pq.write_table(table, tmp_path / "a.parquet", row_group_size=4)
        return tmp_path / "a.parquet"

    def test_row_groups_are_shared_out(self, path: Path) -> None:
        whole = row_parts(path, "a.parquet", "text", ["text"], 1 << 30)
        assert [(p.first, p.count) for p in whole] == [(0, 20)]
        shared = row_parts(path, "a.parquet", "text", ["text"], whole[0].size // 2)
        assert [(p.first, p.count) for p in shared] == [(0, 8), (8, 8), (16, 4)]
        assert sum(p.size for p in shared) == whole[0].size
        read = [record for p in shared for record in read_texts(path, p, "text")]
        assert read == list(read_texts(path, whole[0], "text"))
        assert [record.text for record in read[:3]] == [None, "text 1", "text 2"]
        assert read[5] == TextRecord("row 5", None, "there is no text under 'text'")

    def test_only_the_first_rows(self, path: Path) -> None:
        found = list(read_texts(path, Part("a.parquet", "text", 0, 6, 3), "text"))
        assert [record.key for record in found] == ["row 6", "row 7", "row 8"]

    def test_a_nested_column(self, path: Path) -> None:
        parts = row_parts(path, "a.parquet", "text", ["meta.body"], 1 << 30)
        assert [r.text for r in read_texts(path, parts[0], "meta.body")][:2] == ["deep 0", "deep 1"]

    def test_only_the_columns_wanted_are_read(self, path: Path) -> None:
        assert next(read_rows(path, Part("a", "t", 0, 0, 1), ["n"])) == (0, {"n": 0})

    def test_a_bad_text_does_not_hide_its_neighbours(self, tmp_path: Path) -> None:
        column = pa.array([b"good", b"b\xe4d", b" "], pa.binary()).view(pa.string())
        pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
        found = list(read_texts(tmp_path / "a.parquet", Part("a.parquet", "text", 0, 0, 3), "text"))
        assert [record.text or record.reason for record in found] == [
            "good",
            "the text is not valid UTF-8",
            "the text is empty",
        ]

    def test_a_column_that_is_not_there_is_named(self, path: Path) -> None:
        with pytest.raises(InputError, match=r"a\.parquet has no column 'body': it has n, text, meta\.body"):
            row_parts(path, "a.parquet", "text", ["body"], 1)

    def test_a_damaged_file_is_one_part_and_one_dead_letter(self, path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-10])
        parts = row_parts(path, "a.parquet", "text", ["text"], 1)
        assert [(p.first, p.count) for p in parts] == [(0, 1)]
        (record,) = read_texts(path, parts[0], "text")
        assert record.reason.startswith("the rest of the file cannot be read")

    def test_a_string_that_every_row_repeats_is_an_attack(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A dictionary of one long text, named 5,000 times: 10 GB out of 100 kB."""
        column = pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int32()), pa.array(["x " * 1_000_000]))
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table({"text": column}), path)
        monkeypatch.setattr(streams, "FREE_EXPANSION", 1 << 25)
        tracemalloc.start()
        held, most = pa.total_allocated_bytes(), []
        records = read_texts(path, Part("a.parquet", "text", 0, 0, 5000), "text")
        for record in records:
            most.append(pa.total_allocated_bytes() - held)
            last = record
        assert last.reason == "the rest of the file is not read: it expands more than 200 times"
        assert len(most) + last.lost == 5001
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert 5 < len(most) < 50
        assert max(most) + peak < 40e6

    def test_a_repeated_string_in_a_list_is_seen(self, tmp_path: Path) -> None:
        table = pa.table({"texts": [["short", None], None, ["l" * 5000, "short"]], "n": [1, 2, 3]})
        pq.write_table(table, tmp_path / "a.parquet")
        with pq.ParquetFile(tmp_path / "a.parquet") as file:
            chunks = [file.metadata.row_group(0).column(number) for number in range(2)]
        length = 4  # before every string
        assert _dictionary_bytes(tmp_path / "a.parquet", chunks[0]) == 2 * length + len("short") + 5000
        assert _dictionary_bytes(tmp_path / "a.parquet", chunks[1]) == 3 * 8

    def test_pages_that_expand_beyond_all_measure(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table({"text": ["x" * 1_000_000] * 3}), path, compression="zstd", use_dictionary=False)
        monkeypatch.setattr(streams, "FREE_EXPANSION", 1 << 20)
        (record,) = read_texts(path, Part("a.parquet", "text", 0, 0, 3), "text")
        assert record == TextRecord(
            "row 0", None, "the rest of the file is not read: it expands more than 200 times", "", 3
        )

    def test_damage_behind_the_first_rows_leaves_those(self, path: Path) -> None:
        data = bytearray(path.read_bytes())
        last = pq.ParquetFile(path).metadata.row_group(4).column(1)
        start = last.dictionary_page_offset or last.data_page_offset
        data[start : start + 20] = bytes(20)
        path.write_bytes(data)
        *whole, last = read_texts(path, Part("a.parquet", "text", 0, 0, 20), "text")
        assert [record.text for record in whole[14:]] == ["text 14", None]
        assert (last.key, last.lost) == ("row 16", 4)
        assert last.reason.startswith("the rest of the file cannot be read")

    @pytest.mark.parametrize(
        "kind",
        [
            pa.string_view(),
            pa.binary_view(),
            pa.large_string(),
            pa.large_binary(),
            pa.dictionary(pa.int32(), pa.string()),
            pa.binary(3),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("dictionary", [True, False])
    def test_every_type_of_text(self, tmp_path: Path, kind: pa.DataType, dictionary: bool) -> None:
        values: list[str | bytes | None] = ["one", None, "two", "one"]
        if "binary" in str(kind):
            values = [value and value.encode() for value in values]  # type: ignore[union-attr]
        column = pa.array(values, kind)
        nested = pa.StructArray.from_arrays([column], ["text"])
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table({"text": column, "page": nested}), path, use_dictionary=dictionary)
        for key in ("text", "page.text"):
            (whole,) = row_parts(path, "a.parquet", "text", [key], 1 << 20, texts=True)
            assert [record.text for record in read_texts(path, whole, key)] == ["one", None, "two", "one"]

    def test_other_types_are_named(self, path: Path) -> None:
        wanted = (
            r"column 'n' of .*a\.parquet is of type int64, and a text is wanted .*: those of text are text, meta\.body"
        )
        with pytest.raises(InputError, match=wanted):
            row_parts(path, "a.parquet", "text", ["n"], 1, texts=True)
        with pytest.raises(InputError, match=r"it has n, text, meta\.body \(--text-key text may be meant\)"):
            row_parts(path, "a.parquet", "text", ["txt"], 1, texts=True)
        with pytest.raises(InputError, match=r"column 'meta' of .* is of type struct"):
            row_parts(path, "a.parquet", "text", ["meta"], 1, texts=True)

    @pytest.mark.parametrize("kind", [pa.list_view, pa.large_list_view, pa.list_, pa.large_list])
    def test_lists_of_every_kind(self, tmp_path: Path, kind: Callable[[pa.DataType], pa.DataType]) -> None:
        rows = [["a", None], None, ["b"], [], ["c", "d"]]
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table({"c": pa.array(rows, kind(pa.string_view()))}), path)
        found = [values["c"] for _, values in read_rows(path, Part("a.parquet", "text", 0, 0, 5), ["c"])]
        assert found == [[b"a", None], None, [b"b"], [], [b"c", b"d"]]
