"""The end of an ingest: what the manifest says, and when there is none."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gato_data.errors import InputError, OutputError
from gato_pipelines.ingest import commit as committing
from gato_pipelines.ingest.commit import commit
from gato_pipelines.ingest.complete import already_complete
from gato_pipelines.ingest.job import Job
from gato_pipelines.ingest.output import claim, work_folder
from gato_pipelines.ingest.shards import write_part
from gato_pipelines.ingest.summary import Summary
from gato_schemas.dataset import read_manifest
from gato_schemas.index import encode_index, read_index
from tests import rlds_inputs
from tests.rlds_inputs import episode, moving


def made(job: Job, max_bad: int = 0) -> Summary:
    """Everything an ingest does after its plan."""
    with work_folder(job.out, overwrite=False):
        claim(job)
        for number in range(len(job.plan.parts)):
            write_part(job, number)
        return commit(replace(job, settings=replace(job.settings, max_bad=max_bad)))


BAD = episode(np.full((3, 2), np.nan, np.float32))


@pytest.fixture
def good(tmp_path: Path) -> Job:
    folder = rlds_inputs.write(tmp_path / "rlds", [moving(number) for number in range(7)], shards=3)
    return rlds_inputs.job(folder, tmp_path / "out", holdout=0.4)


@pytest.fixture
def half_bad(tmp_path: Path) -> Job:
    episodes = [moving(0), BAD, moving(2), BAD]
    return rlds_inputs.job(rlds_inputs.write(tmp_path / "rlds", episodes, shards=2), tmp_path / "out")


def test_totals_are_the_sum_of_the_shards(good: Job) -> None:
    manifest = made(good).manifest
    assert manifest == read_manifest(good.out)
    for name, split in manifest.splits.items():
        for field in ("episodes", "records", "timesteps", "tokens", "loss_tokens"):
            assert getattr(split.totals, field) == sum(getattr(shard.totals, field) for shard in split.shards)
        assert [shard.name for shard in split.shards] == [f"arm-{name}.tfrecord-{n:05d}-of-00003" for n in range(3)]
        for shard in split.shards:
            index = read_index(good.out / f"{shard.name}.index")
            assert (index.header.totals, index.header.shard_size) == (shard.totals, shard.size)
    assert sum(split.totals.episodes for split in manifest.splits.values()) == 7
    assert manifest.tasks["arm"].counts.tokens == 7 * 5 * (3 + 1 + 2)
    assert manifest.holdout == 0.4


def test_statistics_are_those_of_all_raw_values(good: Job) -> None:
    rows = {(row.role, row.field): row for row in made(good).manifest.statistics}
    actions = np.concatenate([moving(number).tensors["steps/action"] for number in range(7)]).astype(np.float64)
    row = rows["action", "action"]
    assert row.count == len(actions)
    np.testing.assert_allclose(row.mean, actions.mean(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(row.low, actions.min(axis=0))
    np.testing.assert_array_equal(row.high, actions.max(axis=0))


def test_the_manifest_is_written_last(good: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write = committing.write_durably
    monkeypatch.setattr(
        committing, "write_durably", lambda path, data, work: (written.append(path.name), write(path, data, work))
    )
    made(good)
    others = ["dead_letters.jsonl", "croissant.json", "README.md", "features.json", "dataset_info.json"]
    assert written == [*others, "dataset_copy.json", "dataset.json"]


def test_the_manifest_knows_the_content(good: Job) -> None:
    made(good)
    manifest = read_manifest(good.out)
    for split in manifest.splits.values():
        for shard in split.shards:
            assert shard.digest == hashlib.sha256((good.out / shard.name).read_bytes()).hexdigest()
            assert shard.digest == read_index(good.out / f"{shard.name}.index").header.digest
    letters = (good.out / "dead_letters.jsonl").read_bytes()
    assert manifest.dead_letters_digest == hashlib.sha256(letters).hexdigest()
    assert (good.out / "dataset_copy.json").read_bytes() == (good.out / "dataset.json").read_bytes()


def test_a_complete_dataset_with_another_shard_is_not_taken_for_this_one(good: Job) -> None:
    made(good)
    beside = next(good.out.glob("*-train.*.index"))
    index = read_index(beside)
    header = msgspec.structs.replace(index.header, digest="0" * 64)
    beside.write_bytes(encode_index(header, index.arrays))
    with pytest.raises(OutputError, match=f"but {beside.stem} is not the shard that its manifest was written for"):
        already_complete(good)


def test_no_path_of_this_machine_is_on_disk(good: Job, tmp_path: Path) -> None:
    made(good)
    for path in good.out.iterdir():
        assert str(tmp_path).encode() not in path.read_bytes(), path.name


def test_too_many_dead_letters_leave_shards_and_no_manifest(half_bad: Job) -> None:
    with pytest.raises(
        OutputError, match=r"^2 of 4 episodes could not be used, --max-bad allows 1 \(first: "
    ) as raised:
        made(half_bad, max_bad=1)
    assert "run the same command with --max-bad 2 to go without them" in str(raised.value)
    assert not (half_bad.out / "dataset.json").exists()
    letters = [json.loads(line) for line in (half_bad.out / "dead_letters.jsonl").read_text().splitlines()]
    assert [(Path(letter["source"]).name, letter["key"]) for letter in letters] == [
        ("arm-train.tfrecord-00000-of-00002", "record 1"),
        ("arm-train.tfrecord-00001-of-00002", "record 1"),
    ]
    summary = made(half_bad, max_bad=2)
    assert summary.manifest.dead_letters == 2
    assert "2 episodes were left out: see dead_letters.jsonl" in summary.warnings


def test_dead_letters_are_merged_in_the_order_of_the_parts(half_bad: Job) -> None:
    made(half_bad, max_bad=9)
    lines = (half_bad.out / "dead_letters.jsonl").read_text().splitlines()
    indexes = [read_index(path.with_name(path.name + ".index")) for path in rlds_inputs.shards(half_bad.out)]
    assert [json.loads(line)["source"] for line in lines] == [
        letter.source for index in indexes for letter in index.header.dead_letters
    ]


def test_only_bad_episodes_make_no_dataset(tmp_path: Path) -> None:
    job = rlds_inputs.job(rlds_inputs.write(tmp_path / "rlds", [BAD, BAD]), tmp_path / "out")
    with pytest.raises(OutputError, match=r"^no episode could be used \(the first of 2: .*\): no dataset was made$"):
        made(job, max_bad=100)
    assert not (job.out / "dataset.json").exists()


def test_a_part_that_is_not_finished(good: Job) -> None:
    with work_folder(good.out, overwrite=False):
        claim(good)
        write_part(good, 0)
        with pytest.raises(OutputError, match=r"^part 1 \(.*00001-of-00003\) is not finished: run the same command"):
            commit(good)


def test_no_episode_at_all(good: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(good.source.made), "read", lambda self, *_: iter(()))
    with pytest.raises(InputError, match="no episode"):
        made(good)


def test_complete_or_not(good: Job) -> None:
    assert already_complete(good) is None
    summary = made(good)
    again = already_complete(good)
    assert again is not None
    assert (again.manifest, again.warnings, again.was_complete) == (summary.manifest, summary.warnings, True)


def test_complete_but_of_other_input(good: Job, tmp_path: Path) -> None:
    made(good)
    folder = rlds_inputs.write(tmp_path / "more", [moving(number) for number in range(8)], shards=3)
    other = rlds_inputs.job(folder, good.out, holdout=0.4)
    with pytest.raises(
        OutputError, match=r"holds a complete dataset, but arm-train\.tfrecord-.* made from other input"
    ):
        already_complete(other)


def test_a_split_without_episodes_is_a_warning(tmp_path: Path) -> None:
    job = rlds_inputs.job(rlds_inputs.write(tmp_path / "rlds", [moving(0)]), tmp_path / "out", holdout=0.0001)
    (warning,) = made(job).warnings
    assert warning.startswith("the validation split is empty")


def test_a_part_of_bad_episodes_alone_is_an_empty_shard(tmp_path: Path) -> None:
    folder = rlds_inputs.write(tmp_path / "rlds", [BAD, BAD, moving(0), moving(1)], shards=2)
    manifest = made(rlds_inputs.job(folder, tmp_path / "out"), max_bad=2).manifest
    assert [shard.totals.episodes for shard in manifest.splits["train"].shards] == [0, 2]
    assert manifest == read_manifest(tmp_path / "out")
    (row,) = [row for row in manifest.statistics if row.role == "action"]
    assert (row.count, row.nan) == (10, 12)
    assert np.isfinite([*row.low, *row.high, *row.mean]).all()
