"""What `ingest` says of documents that cannot be read."""

from pathlib import Path

import pytest

from tests.cli.command import error_of, ingest, run
from tests.document_inputs import json_lines

LACKING = "there is no text under 'text': the object has 'body' (--text-key body may be meant)"


def test_a_file_is_named_once(tmp_path: Path) -> None:
    """An input that is one file is called like its file, and a text file is its own document."""
    lines = json_lines(tmp_path / "a.jsonl", [{"body": "x"}])
    found = error_of(ingest("massivetext", lines, "--out", tmp_path / "out"))
    assert found == f"no episode could be used (the first of 1: a.jsonl, byte 0: {LACKING}): no dataset was made"
    (tmp_path / "b.txt").write_bytes("a text".encode("utf-16"))
    found = error_of(ingest("massivetext", tmp_path / "b.txt", "--out", tmp_path / "out"))
    assert "(the first of 1: b.txt: the text is UTF-16, UTF-8 is wanted" in found


def test_notes_say_what_they_are_about(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    json_lines(folder / "a.jsonl", [{"text": "x"}])
    (folder / "b.arrow").touch()
    for option in ((), ("--dry-run",)):
        result = ingest("massivetext", folder, "--out", tmp_path / "out", "--workers", "1", *option)
        assert "passed over: .arrow files, such as b.arrow" in result.output.splitlines()


def test_a_dry_run_of_documents_of_which_none_can_be_read(tmp_path: Path) -> None:
    lines = json_lines(tmp_path / "a.jsonl", [{"body": "x"}] * 3)
    found = error_of(ingest("massivetext", lines, "--out", tmp_path / "out", "--dry-run"))
    assert found == f"no episode can be read (the first of 3: a.jsonl, byte 0: {LACKING})"


@pytest.mark.parametrize("key", ["body", "text"])
def test_a_dry_run_of_documents_of_which_the_first_cannot_be_read(tmp_path: Path, key: str) -> None:
    lines = json_lines(tmp_path / "a.jsonl", [{key: "x"}] * 30)
    shown = ingest("massivetext", lines, "--out", tmp_path / "out", "--dry-run").stdout.splitlines()
    assert shown[0] == "task massivetext: 30 documents"
    said = f"cannot be read: none of the first documents (a.jsonl, byte 0: {LACKING})"
    assert (said in shown) is (key == "body")


def test_places_that_are_no_folder_of_a_dataset(tmp_path: Path) -> None:
    lines = json_lines(tmp_path / "a.jsonl", [{"text": "x"}])
    assert ingest("massivetext", lines, "--out", tmp_path / "made", "--workers", "1").exit_code == 0
    for place, said in (
        ("nowhere", "does not exist: give the folder of a dataset"),
        ("a.jsonl", "is a file: give the folder of a dataset"),
        ("made/dataset.json", f"is a file: give the dataset in its folder, {tmp_path / 'made'}"),
    ):
        found = error_of(run("mix", "--weights", "uniform", "--out", tmp_path / "m.json", tmp_path / place))
        assert found == f"{tmp_path / place} {said}"
