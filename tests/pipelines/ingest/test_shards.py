"""Writing the shards of one part: whole or not at all, in order, and with an index that says what they are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.errors import EpisodeError, InputError, OutputError
from gato_pipelines.ingest import shards
from gato_pipelines.ingest.job import Job, finished
from gato_pipelines.ingest.shards import split_of, write_part
from gato_schemas.dataset import WORK
from gato_schemas.index import DeadLetter, read_index
from gato_schemas.record import decode_record
from gato_schemas.tfrecord import read_records
from tests import rlds_inputs
from tests.rlds_inputs import digests, flip, moving


@pytest.fixture
def arm(tmp_path: Path) -> Path:
    """Five episodes in two shards."""
    return rlds_inputs.write(tmp_path / "rlds", [moving(number) for number in range(5)], shards=2)


@pytest.fixture
def job(arm: Path, tmp_path: Path) -> Job:
    return rlds_inputs.job(arm, tmp_path / "arm", holdout=0.5)


def episode_ids(path: Path) -> list[str]:
    return [decode_record(raw.data, "zlib").episode_id for raw in read_records(path)]


@given(st.text(max_size=40), st.floats(0, 0.999), st.floats(0, 0.999))
def test_a_larger_holdout_only_adds_to_the_validation_split(name: str, one: float, other: float) -> None:
    if split_of(name, min(one, other)) == "validation":
        assert split_of(name, max(one, other)) == "validation"
    assert split_of(name, 0.0) == "train"


def test_the_split_of_an_episode_is_the_same_everywhere() -> None:
    ids = [f"breakout/{part:05d}/{ordinal:06d}" for part in range(10) for ordinal in range(100)]
    held = [name for name in ids if split_of(name, 0.1) == "validation"]
    assert len(held) == 100
    assert held[:3] == ["breakout/00000/000018", "breakout/00000/000024", "breakout/00000/000028"]


def test_a_part_becomes_one_shard_per_split(job: Job) -> None:
    write_part(job, 1)
    assert sorted(path.name for path in job.out.iterdir()) == [
        WORK,
        "arm-train.tfrecord-00001-of-00002",
        "arm-train.tfrecord-00001-of-00002.index",
        "arm-validation.tfrecord-00001-of-00002",
        "arm-validation.tfrecord-00001-of-00002.index",
    ]
    assert list((job.out / WORK).iterdir()) == []
    found = {split: episode_ids(job.shard(1, split)) for split in job.splits}
    for split, names in found.items():
        assert names == sorted(names)
        assert {split_of(name, 0.5) for name in names} <= {split}
    assert sorted(found["train"] + found["validation"]) == [f"arm/00001/{n:06d}" for n in range(3)]


def test_an_index_says_what_its_shard_was_made_from(job: Job) -> None:
    write_part(job, 0)
    path = job.shard(0, "train")
    header = read_index(path.with_name(path.name + ".index")).header
    assert (header.shard, header.split, header.shard_size) == (path.name, "train", path.stat().st_size)
    assert (header.fingerprint, header.part) == (job.recipe.fingerprint, job.plan.parts[0])
    assert header.part.count == 2
    assert not Path(header.part.file).is_absolute()
    assert header.dead_letters == []


def test_a_finished_part_is_not_written_again(job: Job) -> None:
    write_part(job, 0)
    before = {path.name: path.stat().st_mtime_ns for path in job.out.iterdir() if path.is_file()}
    write_part(job, 0)
    assert {path.name: path.stat().st_mtime_ns for path in job.out.iterdir() if path.is_file()} == before


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def damage(path: Path) -> None:
    flip(path, 40)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("arm-train.tfrecord-00001-of-00002", shorten),
        ("arm-train.tfrecord-00001-of-00002", remove),
        ("arm-validation.tfrecord-00001-of-00002.index", remove),
        ("arm-train.tfrecord-00001-of-00002.index", shorten),
        ("arm-train.tfrecord-00001-of-00002.index", damage),
    ],
)
def test_a_part_of_which_anything_is_missing_is_written_again(job: Job, name: str, change: Any) -> None:
    write_part(job, 1)
    before = digests(job.out)
    change(job.out / name)
    assert finished(job, 1) is None
    write_part(job, 1)
    assert finished(job, 1) is not None
    assert digests(job.out) == before


def test_shards_of_other_settings_or_other_input_are_not_finished(job: Job, arm: Path) -> None:
    write_part(job, 0)
    assert finished(rlds_inputs.job(arm, job.out, holdout=0.25), 0) is None
    rlds_inputs.write(arm.with_name("more"), [moving(number) for number in range(6)], shards=2)
    assert finished(rlds_inputs.job(arm.with_name("more"), job.out, holdout=0.5), 0) is None


def test_a_writer_that_fails_leaves_no_shard_and_no_temporary_file(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_luck(*_: Any) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(shards.ShardWriter, "arrays", out_of_luck)
    with pytest.raises(RuntimeError, match="in the middle"):
        write_part(job, 0)
    assert [path.name for path in job.out.iterdir()] == [WORK]
    assert list((job.out / WORK).iterdir()) == []


def test_two_writers_of_one_part_do_not_disturb_each_other(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner may call for a part again although its first worker, thought lost, still writes."""
    write_part(job, 0)
    alone = digests(job.out)
    for path in list(job.out.iterdir()):
        if path.is_file():
            path.unlink()
    add, started = shards.ShardWriter.add, []

    def second_starts_in_between(self: Any, record: Any) -> None:
        add(self, record)
        if not started:
            started.append(True)
            write_part(job, 0)

    monkeypatch.setattr(shards.ShardWriter, "add", second_starts_in_between)
    write_part(job, 0)
    assert started
    assert digests(job.out) == alone


def failing_source(job: Job, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    whole = type(job.source.made).read

    def read(*arguments: Any) -> Iterator[Any]:
        yield next(iter(whole(*arguments)))
        raise error

    monkeypatch.setattr(type(job.source.made), "read", read)


def test_input_that_cannot_be_read_is_no_fault_of_the_output(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        failing_source(job, patch, OSError(5, "Input/output error"))
        with pytest.raises(InputError) as raised:
            write_part(job, 0)
    assert str(raised.value) == (
        f"{job.plan.parts[0].file} cannot be read (Input/output error): mend that, then run the same command again"
    )
    assert finished(job, 0) is None


def test_a_closed_folder_is_told(job: Job) -> None:
    job.out.write_text("a file where the folder should be")
    with pytest.raises(OutputError, match=r"cannot be written \((Not a directory|File exists)\): free space or mend"):
        write_part(job, 0)


def test_dead_letters_beyond_the_limit_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MAX_DEAD_LETTERS", 3)
    letters: list[DeadLetter] = []
    for number in range(7):
        shards._bury(letters, DeadLetter("file", f"record {number}", "read", "broken", 2))
    assert [letter.key for letter in letters] == ["record 0", "record 1", ""]
    assert letters[-1].reason == "and others"
    assert sum(letter.count for letter in letters) == 14


def test_a_source_that_gives_nothing_is_a_dead_letter(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    from gato_pipelines.source import Item

    source = job.source.made
    items = [Item("record 0", 0), Item("record 1", 1, error=EpisodeError("broken", stage="decode"))]
    monkeypatch.setattr(type(source), "read", lambda self, *_: iter(items))
    write_part(job, 0)
    found = finished(job, 0)
    assert found is not None
    assert [(letter.key, letter.stage) for letter in found["train"].header.dead_letters] == [
        ("record 0", "read"),
        ("record 1", "decode"),
    ]
