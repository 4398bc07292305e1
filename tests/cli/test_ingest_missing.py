"""Half-downloaded datasets, and inputs of which nothing can be read."""

import json
import re
from pathlib import Path

import pytest

from gato_schemas.dataset import read_manifest
from tests.cli.command import error_of, ingest
from tests.pipelines.sources.records import read_dataset
from tests.rlds_inputs import moving, shards, truncate, write


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """Eight episodes in four shards, of which two are not there: one is, in part, and one is empty."""
    folder = write(tmp_path / "rlds", [moving(number) for number in range(8)], shards=4)
    second, last = shards(folder)[1], shards(folder)[3]
    second.rename(second.with_name(second.name + ".incomplete"))
    truncate(last, 0)
    return folder


def test_what_is_missing_is_named_and_the_way_out(half: Path, tmp_path: Path) -> None:
    for asked in ([], ["--max-episodes", "2"], ["--dry-run"]):
        assert error_of(ingest("rlds", half, "--out", tmp_path / "out", *asked)) == (
            "2 of 4 files of arm/1.0.0 are missing, with 4 episodes (arm-train.tfrecord-00001-of-00004: only a partial "
            "download is there): restore them, or go on without them with --allow-missing-shards"
        )


def test_what_is_there_is_used_where_the_user_allows_it(half: Path, tmp_path: Path) -> None:
    asked = ("rlds", half, "--out", tmp_path / "out", "--allow-missing-shards")
    line = (
        "files of arm/1.0.0 are not there, with 4 episodes: arm-train.tfrecord-00001-of-00004, "
        "arm-train.tfrecord-00003-of-00004"
    )
    assert f"missing: {line} (2)" in ingest(*asked, "--dry-run").stdout
    assert ingest(*asked).exit_code == 0
    manifest = read_manifest(tmp_path / "out")
    assert [(note.text, note.count) for note in manifest.account if note.kind == "missing"] == [(line, 2)]
    assert len(read_dataset(tmp_path / "out")) == 4
    assert manifest.dead_letters == 0


def test_enough_whole_shards(half: Path, tmp_path: Path) -> None:
    asked = ("--allow-missing-shards", "--max-episodes", "3")
    assert ingest("rlds", half, "--out", tmp_path / "out", *asked).exit_code == 0
    assert len(read_dataset(tmp_path / "out")) == 3


def test_a_slice_that_needs_none_of_them(half: Path, tmp_path: Path) -> None:
    assert ingest("rlds", half, "--out", tmp_path / "out", "--split", "train[:1]+train[4:6]").exit_code == 0
    assert [note for note in read_manifest(tmp_path / "out").account if note.kind == "missing"] == []
    assert len(read_dataset(tmp_path / "out")) == 3


@pytest.mark.parametrize("asked", [[], ["--allow-missing-shards"]])
def test_nothing_is_there(asked: list[str], half: Path, tmp_path: Path) -> None:
    for path in shards(half):
        path.unlink()
    message = r"4 of 4 files of arm/1\.0\.0 are missing, with 8 episodes \(.*\): restore them"
    assert re.fullmatch(message, error_of(ingest("rlds", half, "--out", tmp_path / "out", *asked)))


def test_a_dry_run_fails_where_nothing_can_be_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "rlds", [moving(number) for number in range(4)], shards=2)
    for path in shards(folder):
        truncate(path, 20)
    assert error_of(ingest("rlds", folder, "--out", tmp_path / "out", "--dry-run")) == (
        "no episode can be read (the first of 4: arm-train.tfrecord-00000-of-00002 is truncated inside record 0 "
        "(byte 0); 2 episodes from there on cannot be read)"
    )


def test_a_dry_run_counts_what_cannot_be_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "rlds", [moving(number) for number in range(4)], shards=2)
    truncate(shards(folder)[1], 20)
    shown = ingest("rlds", folder, "--out", tmp_path / "out", "--dry-run")
    assert shown.exit_code == 0
    assert "cannot be read: 2 episodes of 4 (arm-train.tfrecord-00001-of-00002 is truncated inside " in shown.stdout
    found = json.loads(ingest("rlds", folder, "--out", tmp_path / "out", "--dry-run", "--json").stdout)
    assert found["unreadable"] == 2
