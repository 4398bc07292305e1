"""The output folder: what is ours, who holds it, and what it was made with."""

import errno
import fcntl
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.dataset_names import dataset_name
from gato_data.errors import OutputError
from gato_pipelines.ingest.job import Job
from gato_pipelines.ingest.output import check_ours, claim, difference, release, work_folder
from gato_schemas.dataset import WORK
from tests import rlds_inputs
from tests.rlds_inputs import moving


def claim_as(job: Job, values: dict[str, Any]) -> None:
    """Claim the folder for a job that is made with these values."""
    claim(replace(job, recipe=replace(job.recipe, values=values)))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    folder = rlds_inputs.write(tmp_path / "rlds", [moving(0)])
    return rlds_inputs.job(folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("breakout", "breakout"),
        ("Breakout-v5", "breakout_v5"),
        ("a b.c", "a_b_c"),
        ("2024", "dataset_2024"),
        ("_x_", "x"),
        ("日本", "dataset"),
        ("straße", "stra_e"),
    ],
)
def test_a_dataset_is_named_after_its_folder(folder: str, name: str) -> None:
    assert dataset_name(Path("somewhere") / folder) == name


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=20))
def test_every_folder_gives_a_name_that_tfds_takes(folder: str) -> None:
    name = dataset_name(Path("/data") / folder)
    assert name.isidentifier()
    assert name == name.lower()
    assert name[0].isalpha()


def test_nothing_stays_behind_where_nothing_was_claimed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with work_folder(out, overwrite=False):
        assert (out / WORK).is_dir()
    assert not out.exists()


def test_a_folder_that_was_there_stays_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with work_folder(out, overwrite=False):
        pass
    assert list(out.iterdir()) == []


def test_what_was_claimed_stays(job: Job) -> None:
    with work_folder(job.out, overwrite=False):
        claim_as(job, {"settings": {"a": 1}})
    assert sorted(path.name for path in (job.out / WORK).iterdir()) == ["job.json", "lock"]
    with work_folder(job.out, overwrite=False):
        claim_as(job, {"settings": {"a": 1}})
    release(job.out)
    assert list(job.out.iterdir()) == []


def test_temporary_folders_of_a_killed_run_go_and_finished_scans_stay(job: Job) -> None:
    with work_folder(job.out, overwrite=False):
        claim_as(job, {})
        left = job.out / WORK / "part-00000-abc"
        left.mkdir()
        (left / "half").write_text("a shard")
        (job.out / WORK / "scan-1-00000.json").write_text("{}")
    with work_folder(job.out, overwrite=False):
        assert sorted(path.name for path in (job.out / WORK).iterdir()) == ["job.json", "lock", "scan-1-00000.json"]


def test_overwrite_removes_what_an_ingest_writes_and_nothing_else(job: Job) -> None:
    ours = [
        "dataset.json",
        "dataset_info.json",
        "features.json",
        "dead_letters.jsonl",
        "text.model",
        "arm-train.tfrecord-00000-of-00001",
        "arm-train.tfrecord-00000-of-00001.index",
        "other-validation.tfrecord-00000-of-00001",
    ]
    others = ["README.md", "arm-train.tfrecord-00000-of-00001.bak", "arm-train.riegeli-00000-of-00001", "x.index"]
    with work_folder(job.out, overwrite=False):
        claim_as(job, {"a": 1})
        for name in (*ours, *others):
            (job.out / name).write_text("")
        (job.out / "dataset.json").write_text('{"version": 1, "fingerprint": "", "vocabulary": 0, "splits": 0}')
    with work_folder(job.out, overwrite=True):
        assert sorted(path.name for path in job.out.iterdir()) == sorted([WORK, *others])
        claim_as(job, {"a": 2})


def test_only_one_ingest_at_a_time(job: Job) -> None:
    with work_folder(job.out, overwrite=False):
        claim_as(job, {})
        for overwrite in (False, True):
            with (
                pytest.raises(OutputError, match=r"^another ingest is writing to .*: wait until it ends, or choose"),
                work_folder(job.out, overwrite=overwrite),
            ):
                pass
        assert (job.out / WORK / "job.json").exists(), "the second one has not touched it"
    with work_folder(job.out, overwrite=False):
        pass


def test_a_lock_whose_folder_was_just_released_does_not_count(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening the lock and holding it, its former holder ended and removed it."""
    lock = fcntl.flock

    def late(file: Any, operation: int) -> None:
        os.unlink(job.out / WORK / "lock")
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(OutputError, match="another ingest"), work_folder(job.out, overwrite=False):
        pass


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_a_file_system_without_locks(job: Job, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def unknown(file: Any, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", unknown)
    with work_folder(job.out, overwrite=False):
        claim_as(job, {})


def test_a_lock_that_cannot_be_had_for_another_reason(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(file: Any, operation: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OutputError, match="cannot be written"), work_folder(job.out, overwrite=False):
        pass


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "x"}', "[" * 5000, "\x00"])
def test_a_manifest_of_somebody_else_is_not_ours(tmp_path: Path, content: str) -> None:
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(OutputError, match="gato-data did not write"):
        check_ours(tmp_path)


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(OutputError, match=r"cannot be written \(Permission denied\): free space or mend its permiss"):
        check_ours(tmp_path)


def test_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(self: Path, *_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", closed)
    out = tmp_path / "out"
    with (
        pytest.raises(OutputError, match=rf"^{out} cannot be written \(Read-only file system\): free space or mend"),
        work_folder(out, overwrite=False),
    ):
        pass


def test_other_settings_are_refused_and_named(job: Job) -> None:
    with work_folder(job.out, overwrite=False):
        claim_as(job, {"settings": {"a": 1, "b": [1, 2]}, "z": 0})
        claim_as(job, {"z": 0, "settings": {"b": [1, 2], "a": 1}})
        with pytest.raises(OutputError, match=r"unfinished dataset made with other settings \(settings\.b was \[1,2\]"):
            claim_as(job, {"settings": {"a": 1, "b": [1, 3]}, "z": 1})


def test_a_damaged_claim_is_one_sentence(job: Job) -> None:
    with work_folder(job.out, overwrite=False):
        claim_as(job, {})
        (job.out / WORK / "job.json").write_text("{")
        with pytest.raises(OutputError, match=r"job\.json is damaged \(.*\): use --overwrite to start again"):
            claim_as(job, {})


@pytest.mark.parametrize(
    ("stored", "wanted", "text"),
    [
        ({"a": 1}, {"a": 2}, "a was 1, now 2"),
        ({"a": {"b": {"c": "x"}}}, {"a": {"b": {"c": None}}}, 'a.b.c was "x", now null'),
        ({"a": 1}, {"a": 1, "b": [1]}, "b was null, now [1]"),
        ({"a": "x" * 300}, {"a": ""}, f'a was "{"x" * 99}..., now ""'),
    ],
)
def test_the_first_difference(stored: Any, wanted: Any, text: str) -> None:
    assert difference(stored, wanted) == text
