"""Texts out of JSON lines: what json.loads reads is read, and what is there instead of a text is named."""

import json
from pathlib import Path

import msgspec
import pytest

from gato_data.errors import EpisodeError
from gato_pipelines.documents.formats.json_values import as_msgspec_reads, decode_json, json_decoder
from gato_pipelines.documents.texts.records import TextRecord, read_json
from gato_schemas.index import Part


def part(path: Path) -> Part:
    return Part(path.name, "text", path.stat().st_size)


class TestJson:
    def read(self, path: Path, data: bytes, key: str = "text") -> list[TextRecord]:
        path.write_bytes(data)
        return list(read_json(path, part(path), json_decoder(key)))

    def test_a_text_its_place_and_its_id(self, tmp_path: Path) -> None:
        data = b'{"text": "one", "id": 7}\n\n  \n{"id": "b", "text": "gr\\u00fcn", "other": [1, {"text": 3}]}'
        assert self.read(tmp_path / "a.jsonl", data) == [
            TextRecord("byte 0", "one", id="7"),
            TextRecord("byte 29", "grün", id="b"),
        ]

    def test_a_nested_key(self, tmp_path: Path) -> None:
        data = json.dumps({"meta": {"body": {"raw text": "deep"}}, "text": "shallow"}).encode()
        assert self.read(tmp_path / "a.jsonl", data, "meta.body.raw text") == [TextRecord("byte 0", "deep")]

    def test_the_id_itself_can_be_the_text(self, tmp_path: Path) -> None:
        assert self.read(tmp_path / "a.jsonl", b'{"id": "this"}', "id") == [TextRecord("byte 0", "this")]

    def test_a_byte_order_mark_is_no_text(self, tmp_path: Path) -> None:
        assert self.read(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"text": "one"}') == [TextRecord("byte 0", "one")]

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b'{"text": ""}', "the text is empty"),
            (b'{"text": " \\n\\t "}', "the text is empty"),
            (b'{"body": "x"}', "there is no text under 'text': the object has 'body' (--text-key body may be meant)"),
            (b'{"text": 3}', "there is no text under 'text': a number stands there"),
            (b'{"text": null}', "there is no text under 'text': null stands there"),
            (b"3", "there is no text under 'text': a number stands where an object is wanted"),
            (b'[{"text": "x"}]', "the line is a list: JSON lines are wanted, one object each"),
            (b'{"text": "gr\xfcn"}', "the text is not valid UTF-8"),
            (b'{"text": "x"} y', "the line is not JSON (trailing characters)"),
            (b'{"text": "x', "the line is not JSON (Input data was truncated)"),
            (
                b'{"a": ' + b"[" * 100_000,
                "the line is not JSON (maximum recursion depth exceeded while deserializing an",
            ),
        ],
    )
    def test_a_bad_line_does_not_hide_its_neighbours(self, tmp_path: Path, line: bytes, reason: str) -> None:
        found = self.read(tmp_path / "a.jsonl", b'{"text": "before"}\n' + line + b'\n{"text": "after"}\n')
        assert [record.text for record in found] == ["before", None, "after"]
        assert found[1].reason.startswith(reason)


class TestAsJsonLoads:
    @pytest.mark.parametrize(
        "line",
        [
            rb'{"text": "NaN \" NaN", "ppl": NaN}',
            rb'{"ppl": [Infinity, -Infinity, {"a": NaN}], "text": "x\\"}',
            rb'{"n": 123456789012345678901234567890123456789012345678901234567890, "text": "x", "e": 1e999}',
            rb'{"name": "\ud800", "text": "gr\u00fcn \ud83d\ude80"}',
            rb'{"text": "first", "text": "last"}',
            rb'{"text": null, "text": "last"}',
            rb'{"text": [NaN], "text": "last \ufffd"}',
        ],
    )
    def test_the_text_is_the_same(self, line: bytes) -> None:
        assert json_decoder("text")(line)[0] == json.loads(line)["text"]

    def test_nested_keys_too(self) -> None:
        assert json_decoder("a.b")(b'{"a": {"b": 1}, "n": NaN, "a": {"c": NaN, "b": "x"}}') == ("x", "")

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b'{"text": NaN}', "there is no text under 'text': null stands there"),
            (b'{"a": NaN, "b": nan}', "the line is not JSON (invalid character)"),
            (rb'{"text": "half \ud800"}', "the text has half of a surrogate pair, which is no character"),
            (b"{}", "there is no text under 'text': the object has no name at all"),
            (
                b'{"url": "u", "content": "c", "n": 1}',
                "there is no text under 'text': the object has 'url', 'content', 'n' (--text-key content may be meant)",
            ),
            (
                b'{"Texts": "c", "text_": 1}',
                "there is no text under 'text': the object has 'Texts', 'text_' (--text-key Texts may be meant)",
            ),
            (b'{"text": ["a", "b"]}', "there is no text under 'text': a list stands there"),
            (b'{"text": {"a": 1}}', "there is no text under 'text': an object stands there"),
        ],
    )
    def test_what_is_there_instead(self, line: bytes, reason: str) -> None:
        with pytest.raises(EpisodeError) as caught:
            json_decoder("text")(line)
        assert str(caught.value) == reason

    def test_a_half_is_no_part_of_other_values(self) -> None:
        decoder = msgspec.json.Decoder(dict[str, str])
        assert decode_json(decoder, b'{"a": "x"}', "nothing") == {"a": "x"}
        with pytest.raises(EpisodeError, match="the line is not JSON"):
            decode_json(decoder, rb'{"a": "\ud800"}', "nothing")

    def test_quotes_without_end_take_no_time(self) -> None:
        line = rb'{"a": NaN, "b": "' + rb"\"" * 1_000_000
        assert as_msgspec_reads(line) == line.replace(b"NaN", b"null")


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b'[\n  {"text": "a"},\n  {"text": "b"}\n]\n', "the file is one JSON list: JSON lines are wanted"),
            (b'[{"text": "a"},\n{"text": "b"}]', "the file is one JSON list: JSON lines are wanted"),
            (b'\xef\xbb\xbf{\n  "text": "a"\n}\n', "the file is one JSON object over several lines: JSON lines"),
            ('{"text": "a"}\n'.encode("utf-16"), "the text is UTF-16, UTF-8 is wanted"),
        ],
    )
    def test_a_file_without_lines_is_one_reason(self, tmp_path: Path, content: bytes, reason: str) -> None:
        path = tmp_path / "a.json"
        path.write_bytes(content)
        (record,) = read_json(path, part(path), json_decoder("text"))
        assert record.reason.startswith(reason)

    def test_a_list_among_lines_costs_a_line(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_bytes(b'[1, 2]\n{"text": "a"}\n')
        found = list(read_json(path, part(path), json_decoder("text")))
        assert [record.text for record in found] == [None, "a"]


def test_a_decoder_reads_nothing_but_the_text() -> None:
    assert json_decoder("a.b")(b'{"x": {"a": 1}, "a": {"b": "t", "c": 2}, "id": [1]}') == ("t", "")
