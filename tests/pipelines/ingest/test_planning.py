"""The pass over all parts before any shard is written."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from gato_data.errors import InputError, OutputError, SettingError
from gato_pipelines.ingest import scan_job as scanning
from gato_pipelines.ingest.chosen_source import ChosenSource
from gato_pipelines.ingest.inputs import InputFolders, find_inputs
from gato_pipelines.ingest.planning import check_observation_tokens, make_plan
from gato_pipelines.ingest.scan_job import ScanJob, local_workers
from gato_pipelines.ingest.settings import IngestSettings
from gato_pipelines.registry.find import make_source
from gato_pipelines.remote import work_files
from gato_pipelines.remote.work_files import WorkFiles
from gato_pipelines.source import PartScan, Plan
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Field
from gato_schemas.index import Part
from tests import rlds_inputs
from tests.rlds_inputs import episode, moving


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Scan without Beam; the numbers of the parts that were scanned."""
    scanned: list[int] = []

    def run_over(elements: Any, function: Any, *_: Any) -> None:
        for element in elements:
            scanned.append(element)
            function(element)

    monkeypatch.setattr(scanning, "run_over", run_over)
    return scanned


def scan_job(folder: Path, work: Path, **settings: Any) -> ScanJob:
    source = ChosenSource("atari", settings)
    inputs = find_inputs(source.made, folder)
    (name,) = inputs
    parts = [Part(p.file, p.task, p.size, p.first, p.count, name) for p in source.made.parts(folder)]
    work.mkdir(exist_ok=True)
    return ScanJob(source, InputFolders(inputs), parts, WorkFiles(work))


@pytest.fixture
def arm(tmp_path: Path) -> Path:
    return rlds_inputs.write(tmp_path / "rlds", [moving(number) for number in range(5)], shards=3)


def test_a_scan_is_kept_until_the_part_or_the_settings_change(
    arm: Path, tmp_path: Path, in_this_process: list[int]
) -> None:
    first = scan_job(arm, tmp_path / "work").run(IngestSettings())
    assert in_this_process == [0, 1, 2]
    assert scan_job(arm, tmp_path / "work").run(IngestSettings()) == first
    assert in_this_process == [0, 1, 2], "nothing was scanned twice"
    scan_job(arm, tmp_path / "work", final_step="keep").run(IngestSettings())
    assert in_this_process == [0, 1, 2] * 2
    moved = tmp_path / "moved"
    shutil.move(arm, moved)
    assert scan_job(moved, tmp_path / "work").run(IngestSettings()) == first
    assert in_this_process == [0, 1, 2] * 2, "where the input lies does not matter"
    shutil.rmtree(moved)
    rlds_inputs.write(moved, [moving(number) for number in range(5)] + [moving(5, length=9)], shards=3)
    scan_job(moved, tmp_path / "work").run(IngestSettings())
    assert in_this_process == [0, 1, 2, 0, 1, 2, 0, 2], "part 1 is as it was"


def test_a_damaged_scan_is_made_again(arm: Path, tmp_path: Path, in_this_process: list[int]) -> None:
    job = scan_job(arm, tmp_path / "work")
    first = job.run(IngestSettings())
    (job.work.folder / job.name(1)).write_text("{")
    assert job.run(IngestSettings()) == first
    assert in_this_process == [0, 1, 2, 1]


def test_a_scan_that_did_not_arrive_is_no_lost_part(arm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "run_over", lambda *_: None)
    with pytest.raises(
        OutputError, match=r"^what the workers found in .*00000-of-00003 is not in .*work/.ingest: is it a folder"
    ):
        scan_job(arm, tmp_path / "work").run(IngestSettings())


def test_unreadable_input_and_a_full_disk_are_told_apart(
    arm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    job = scan_job(arm, tmp_path / "work")
    with monkeypatch.context() as patch:
        patch.setattr(type(make_source("atari", {})), "scan", broken)
        with pytest.raises(InputError, match=r"00000-of-00003 cannot be read \(Input/output error\): mend that"):
            job.write(0)
    with monkeypatch.context() as patch:
        patch.setattr(work_files, "write_durably", broken)
        with pytest.raises(
            OutputError, match=rf"^{tmp_path}/work cannot be written \(Input/output error\): free space"
        ):
            job.write(0)


def plan_of(folder: Path, tmp_path: Path, max_episodes: int | None = None, **settings: Any) -> Plan:
    job = scan_job(folder, tmp_path / "work", **settings)
    scans = [make_source("atari", settings).scan(folder, part) for part in job.parts]
    return make_plan(scans, make_source("atari", settings), max_episodes)


@pytest.mark.parametrize(
    ("limit", "counts"), [(None, [1, 2, 2]), (1, [1]), (2, [1, 1]), (3, [1, 2]), (5, [1, 2, 2]), (99, [1, 2, 2])]
)
def test_max_episodes_are_the_first_ones(arm: Path, tmp_path: Path, limit: int | None, counts: list[int]) -> None:
    assert [part.count for part in plan_of(arm, tmp_path, limit).parts] == counts


def placeholder(number: int) -> Any:
    """An episode whose final timestep has no action and reward."""
    made = moving(number)
    actions, rewards = made.tensors["steps/action"].copy(), made.tensors["steps/reward"].copy()
    actions[-1], rewards[-1] = 0, 0
    return episode(actions, rewards=rewards)


@pytest.mark.parametrize(
    ("placeholders", "policy"),
    [(0, "keep"), (1, "keep"), (3, "keep"), (4, "drop")],
)
def test_the_final_step_is_decided_once_for_all_parts(tmp_path: Path, placeholders: int, policy: str) -> None:
    episodes = [placeholder(n) if n < placeholders else moving(n) for n in range(4)]
    folder = rlds_inputs.write(tmp_path / "rlds", episodes, shards=4)
    decided = plan_of(folder, tmp_path).tasks["arm"].final_step
    assert decided is not None
    assert decided.policy == policy
    assert decided.reason == f"{placeholders} of 4 episodes end with an all-zero action and reward"


def test_no_episode_is_no_dataset() -> None:
    with pytest.raises(InputError, match="the input has no episode"):
        make_plan([PartScan(part=Part("file", "task", 0))], make_source("atari", {}), None)


def picture(side: int) -> Field:
    return Field("image", "image", (side, side, 3), "uint8")


@pytest.mark.parametrize(
    ("fields", "limit", "tokens"),
    [
        ([picture(64)], 16, None),
        ([picture(64)], 15, 16),
        ([picture(64), Field("state", "continuous", (3, 4), "float32")], 27, 28),
        ([Field("flag", "discrete", (), "int64"), Field("text", "text")], 0, 1),
        ([Field("text", "text")], 0, None),
    ],
)
def test_too_many_observation_tokens_are_told_before_anything_is_read(
    fields: list[Field], limit: int, tokens: int | None
) -> None:
    task = TaskInfo(observations=fields, actions=[Field("action", "discrete", (), "int64")])
    plan = Plan(tasks={"task": task}, agents=["agent"], parts=[])
    if tokens is None:
        check_observation_tokens(plan, limit)
        return
    with pytest.raises(
        SettingError, match=rf"^a timestep of task 'task' has {tokens} observation tokens .*{limit} were"
    ):
        check_observation_tokens(plan, limit)


@pytest.mark.parametrize(
    ("sizes", "asked", "workers"), [([10, 10], None, 1), ([10, 10], 3, 3), ([90, 20], None, None), ([90, 20], 1, 1)]
)
def test_a_small_input_is_read_by_one_process(sizes: list[int], asked: int | None, workers: int | None) -> None:
    parts = [Part("file", "task", size) for size in sizes]
    assert local_workers(parts, 100, asked) == workers
