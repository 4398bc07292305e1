"""Files that are passed over, and said so."""

from pathlib import Path

import pytest

from gato_pipelines.files.passed_over import PassedOver, is_about, passed_over, without_about
from gato_schemas.account import Note


@pytest.mark.parametrize(
    "name",
    [
        *(
            "LICENSE.txt",
            "docs/License-2.0.txt",
            "COPYING.txt",
            "README.txt",
            "README.md",
            "readme.zh.txt",
            "robots.txt",
        ),
        *("SHA256SUMS.txt", "checksums.txt", "md5sum.txt", "dataset_info.json", "x/features.json"),
    ],
)
def test_files_about_the_others(name: str) -> None:
    assert is_about(name)


@pytest.mark.parametrize(
    "name", ["a.txt", "licensed to kill.txt", "robots and empire.txt", "README.jsonl", "license.parquet", "copy.txt"]
)
def test_documents(name: str) -> None:
    assert not is_about(name)


def test_files_about_nothing_else_are_documents() -> None:
    assert without_about(["LICENSE.txt", "a.txt"]) == ["a.txt"]
    assert without_about(["LICENSE.txt", "README.txt"]) == ["LICENSE.txt", "README.txt"]


def test_folders_behind_links_are_named(tmp_path: Path) -> None:
    for name in ("in/part", "elsewhere", ".hidden"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "in" / "part" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / ".cache").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "a.txt").touch()
    (tmp_path / "in" / "a.txt").symlink_to(tmp_path / "elsewhere" / "a.txt")
    note = Note("passed-over", "folders behind links, such as part/more")
    assert passed_over(tmp_path / "in", ["a.txt"].__contains__) == [note]


def test_every_kind_is_one_note(tmp_path: Path) -> None:
    names = ("a.jsonl", "b.arrow", "c.ARROW", "LICENSE.txt", "Makefile", ".gitattributes")
    for name in (*names, "t-test.tfrecord-00000-of-00002", "t-test.tfrecord-00001-of-00002"):
        (tmp_path / name).touch()
    assert passed_over(tmp_path, ["a.jsonl"].__contains__) == [
        Note("passed-over", "files about the others, such as LICENSE.txt"),
        Note("passed-over", "files without a suffix, such as Makefile"),
        Note("passed-over", ".arrow files, such as b.arrow", 2),
        Note("passed-over", ".tfrecord files, such as t-test.tfrecord-00000-of-00002", 2),
    ]
    assert passed_over(tmp_path / "b.arrow", is_about) == []


def test_very_many_kinds_are_not_told_apart() -> None:
    found = PassedOver()
    for number in range(100):
        found.add(f"file.{number}")
    notes = found.notes(" in archives")
    assert len(notes) == 31
    assert notes[-1] == Note("passed-over", "other files in archives, such as file.30", 70)
