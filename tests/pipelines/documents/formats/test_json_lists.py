"""Entries of JSON lists: the same as json.loads gives, in ranges too, and what is damaged is said."""

import gzip
import json
from pathlib import Path

import pytest

from gato_pipelines.documents.formats import json_lists
from gato_pipelines.documents.formats.json_lists import is_json_list, list_entries

VALUES = [{"a": 'quo"te \\" ] }', "b": [1, {"c": "[{"}]}, {}, {"x": "ä\n"}, {"d": {"e": {}}}]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("mark", ["", "\ufeff", " \n"])
def test_entries_are_those_of_json(tmp_path: Path, indent: int | None, mark: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(mark + json.dumps(VALUES, indent=indent) + "\n", encoding="utf-8")
    assert is_json_list(path)
    entries = list(list_entries(path))
    assert [json.loads(entry.data or b"") for entry in entries] == VALUES
    size = path.stat().st_size
    for cut in (entry.start for entry in entries[1:]):
        halves = [*list_entries(path, 0, cut), *list_entries(path, cut, size - cut)]
        assert halves == entries
    packed = tmp_path / "a.json.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert list(list_entries(packed)) == entries


@pytest.mark.parametrize(
    ("text", "whole", "reasons"),
    [
        ("[]", 0, []),
        ("[{}, {}", 2, ["the rest of the file cannot be read (the list does not end)"]),
        ('[{}, {"a": "', 1, ["the rest of the file cannot be read (the list does not end)"]),
        ('[{}, {"a": "\\"\\"\\"', 1, ["the rest of the file cannot be read (the list does not end)"]),
        ("[{}, 7, {}, null]", 2, ["the row is no JSON object"] * 2),
        ("[{}] x", 1, ["the rest of the file cannot be read (something follows the list)"]),
        ("[{}]\n[{}]", 1, ["the rest of the file cannot be read (something follows the list)"]),
        ("[" * 3000, 0, ["the rest of the file cannot be read (the list does not end)"]),
    ],
)
def test_damage(tmp_path: Path, text: str, whole: int, reasons: list[str]) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    entries = list(list_entries(path, 0, len(text)))
    assert sum(entry.data is not None for entry in entries) == whole
    assert [entry.reason for entry in entries if entry.data is None] == reasons


def test_an_entry_that_is_too_long_and_a_file_that_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lists, "MAX_PASSAGE_BYTES", 100)
    (tmp_path / "a.json").write_text(json.dumps([{"a": "x" * 100}, {}]))
    assert [entry.data for entry in list_entries(tmp_path / "a.json")] == [None, b"{}"]
    data = gzip.compress(json.dumps([{"a": n} for n in range(2000)]).encode())
    (tmp_path / "a.json.gz").write_bytes(data[:-200])
    entries = list(list_entries(tmp_path / "a.json.gz"))
    assert [entry.reason for entry in entries if entry.data is None] == [
        "the rest of the file cannot be read (the list does not end)",
        "the rest of the file cannot be read (it is cut off)",
    ]
