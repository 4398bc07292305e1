"""An ingest by several processes that share nothing but the output folder: the bytes of one."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from gato_data.errors import OutputError, SettingError
from gato_pipelines.ingest import dataset_writer, scan_job, shared_folder
from gato_pipelines.ingest import run as ingesting
from gato_pipelines.ingest.array_task import ArrayTask
from gato_pipelines.ingest.dataset_writer import DatasetWriter
from gato_pipelines.ingest.output import work_folder
from gato_pipelines.ingest.run_task import run_task
from gato_pipelines.ingest.scan_job import ScanJob
from gato_pipelines.ingest.settings import IngestSettings
from gato_pipelines.ingest.shared_folder import shared_work_folder
from gato_pipelines.ingest.summary import Summary, Unfinished
from tests.pipelines.ingest.interrupted import in_this_process
from tests.rlds_inputs import digests, flip, ingest, moving, shards, write


@pytest.fixture(autouse=True)
def _without_beam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_writer, "run_over", in_this_process)
    monkeypatch.setattr(scan_job, "run_over", in_this_process)


@pytest.fixture(params=["folder", "address"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A path, or an address, of which each task has a copy: nothing is renamed there, or locked."""
    (tmp_path / "made").mkdir()
    return tmp_path / "made" / "arm" if request.param == "folder" else f"local://{tmp_path}/made/arm"


def made(out: Path | str) -> Path:
    return Path(str(out).removeprefix("local://"))


def one(source: Path, out: Path | str, task: str, **asked: Any) -> Summary | Unfinished:
    ingest = IngestSettings(**{"runner": "array", "array_task": task, "workers": 1, "holdout": 0.3, **asked})
    return run_task("rlds", {}, source, out, ingest)


def test_one_after_the_other(array_source: Path, array_wanted: dict[str, str], out: Path | str) -> None:
    """In any order; each says what is missing after it."""
    assert one(array_source, out, "2/3") == Unfinished(ArrayTask(2, 3), 5, (0, 2, 3))
    assert one(array_source, out, "1/3") == Unfinished(ArrayTask(1, 3), 5, (2,))
    assert one(array_source, out, "1/3") == Unfinished(ArrayTask(1, 3), 5, (2,)), "a task that is done is no harm"
    assert not (made(out) / "dataset.json").exists()
    last = one(array_source, out, "3/3")
    assert isinstance(last, Summary)
    assert (last.finished_before, last.was_complete) == (4, False)
    assert digests(made(out)) == array_wanted
    for task in ("3/3", "1/3"):
        again = one(array_source, out, task)
        assert isinstance(again, Summary)
        assert again.was_complete
    assert digests(made(out)) == array_wanted


def test_more_tasks_than_parts(array_source: Path, array_wanted: dict[str, str], out: Path | str) -> None:
    ends = [one(array_source, out, f"{number}/7") for number in (6, 1, 2, 3, 4, 7, 5)]
    assert [isinstance(end, Summary) for end in ends] == [False] * 6 + [True]
    assert digests(made(out)) == array_wanted


def test_all_at_once(array_source: Path, array_wanted: dict[str, str], out: Path | str) -> None:
    with ThreadPoolExecutor(5) as threads:
        ends = list(threads.map(lambda number: one(array_source, out, f"{number}/5"), range(1, 6)))
    assert any(isinstance(end, Summary) for end in ends)
    assert digests(made(out)) == array_wanted


def test_two_that_are_the_last(
    array_source: Path, array_wanted: dict[str, str], out: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both see that nothing is missing, and both commit."""
    both, missing, write_files = Barrier(2), DatasetWriter._missing, dataset_writer.commit

    def seen_by_both(writer: DatasetWriter) -> list[int]:
        both.wait(60)
        assert missing(writer) == []
        both.wait(60)
        return []

    def commit(*args: Any, **options: Any) -> Summary:
        both.wait(60)
        return write_files(*args, **options)

    monkeypatch.setattr(DatasetWriter, "_missing", seen_by_both)
    monkeypatch.setattr(dataset_writer, "commit", commit)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda number: one(array_source, out, f"{number}/2"), (1, 2))
    assert isinstance(first, Summary)
    assert isinstance(second, Summary)
    assert first.manifest == second.manifest
    assert digests(made(out)) == array_wanted


def test_who_comes_first_scans_for_all(array_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned: list[tuple[str, int]] = []
    scan, now = ScanJob.scan, ""

    def noted(job: ScanJob, number: int) -> Any:
        scanned.append((now, number))
        return scan(job, number)

    monkeypatch.setattr(ScanJob, "scan", noted)
    for task in ("2/2", "1/2"):
        now = task
        one(array_source, tmp_path / "arm", task)
    assert scanned == [("2/2", number) for number in (1, 3, 0, 2, 4)]


def test_each_scans_its_own_parts(
    array_source: Path, array_wanted: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are at it at the same time leave each other's parts alone."""
    scanned: list[int] = []
    scan, both = ScanJob.scan, Barrier(2)

    def noted(job: ScanJob, number: int) -> Any:
        if number < 2:
            both.wait(60)
        scanned.append(number)
        found = scan(job, number)
        if number > 2 and scanned.count(number) == 1:  # on a busy machine one may be scanned by both
            both.wait(60)
        return found

    monkeypatch.setattr(ScanJob, "scan", noted)
    folder = tmp_path / "rlds"
    shutil.copytree(array_source, folder)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda number: one(folder, tmp_path / "arm", f"{number}/2"), (1, 2)))
    assert scanned.count(0) == scanned.count(1) == scanned.count(2) == 1
    assert digests(tmp_path / "arm") == array_wanted


def test_bad_episodes_end_the_last_task(array_source: Path, tmp_path: Path, out: Path | str) -> None:
    damaged = tmp_path / "damaged" / "rlds"
    shutil.copytree(array_source, damaged)
    flip(shards(damaged)[1], shards(damaged)[1].stat().st_size - 40)
    one(damaged, out, "2/2")
    with pytest.raises(OutputError, match=r"^1 of 10 episodes could not be used, --max-bad allows 0"):
        one(damaged, out, "1/2")
    assert not (made(out) / "dataset.json").exists()
    assert (made(out) / "dead_letters.jsonl").read_text().count("\n") == 1
    done = one(damaged, out, "2/2", max_bad=1)
    assert isinstance(done, Summary)
    assert done.finished_before == 5
    ingest(damaged, tmp_path / "alone" / "arm", source="rlds", holdout=0.3, max_bad=1)
    assert digests(made(out)) == digests(tmp_path / "alone" / "arm")


def test_another_runner_completes_it(array_source: Path, array_wanted: dict[str, str], out: Path | str) -> None:
    one(array_source, out, "1/2")
    summary = ingesting.run("rlds", {}, array_source, out, IngestSettings(workers=1, holdout=0.3))
    assert summary.finished_before == 3
    assert digests(made(out)) == array_wanted


def test_it_completes_what_another_runner_began(
    array_source: Path, array_wanted: dict[str, str], out: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(elements: Any, function: Callable[[Any], None], *_: Any) -> None:
        in_this_process(elements[:2], function)
        raise OutputError("no room")

    monkeypatch.setattr(dataset_writer, "run_over", broken)
    with pytest.raises(OutputError, match="no room"):
        ingesting.run("rlds", {}, array_source, out, IngestSettings(workers=1, holdout=0.3))
    monkeypatch.setattr(dataset_writer, "run_over", in_this_process)
    assert one(array_source, out, "1/2") == Unfinished(ArrayTask(1, 2), 5, (3,))
    assert isinstance(one(array_source, out, "2/2"), Summary)
    assert digests(made(out)) == array_wanted


def test_a_damaged_shard_is_written_by_its_task(
    array_source: Path, array_wanted: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "arm"
    one(array_source, out, "1/2")
    (out / "arm-train.tfrecord-00002-of-00005").write_bytes(b"")
    assert one(array_source, out, "2/2") == Unfinished(ArrayTask(2, 2), 5, (2,))
    assert isinstance(one(array_source, out, "1/2"), Summary)
    assert digests(out) == array_wanted


@pytest.mark.parametrize(
    ("asked", "differs"),
    [
        ({"holdout": 0.2}, "holdout was 0.3, now 0.2"),
        ({"max_episodes": 3}, "max_episodes was null, now 3"),
        ({"name": "leg"}, 'name was "", now "leg"'),
    ],
)
def test_other_settings(array_source: Path, out: Path | str, asked: dict[str, Any], differs: str) -> None:
    one(array_source, out, "1/2")
    with pytest.raises(OutputError) as raised:
        one(array_source, out, "2/2", **asked)
    assert str(raised.value).startswith(f"task 1/2 of {out} does something else than 2/2 ({differs}): give all tasks")


def test_another_input(array_source: Path, tmp_path: Path, out: Path | str) -> None:
    """Of the same name, with as many parts."""
    other = write(tmp_path / "other" / "rlds", [moving(n, length=21) for n in range(10)], shards=5)
    one(array_source, out, "1/2")
    with pytest.raises(OutputError, match=r"does something else than 2/2 \(parts\.bytes was \d+, now \d+\)"):
        one(other, out, "2/2")
    assert isinstance(one(array_source, out, "2/2"), Summary)


def test_other_versions(array_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gato_pipelines.ingest import fingerprint

    one(array_source, tmp_path / "arm", "1/2")
    monkeypatch.setattr(fingerprint, "version", lambda name: "0.0")
    with pytest.raises(OutputError, match=r'\(libraries\.deflate was "[\d.]+", now "0\.0"\)'):
        one(array_source, tmp_path / "arm", "2/2")


def test_only_once_at_a_time(array_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same task, or a task and an ingest of its own."""
    monkeypatch.setattr(shared_folder, "_PATIENCE", 0.0)
    out = tmp_path / "arm"
    with shared_work_folder(out, ArrayTask(1, 2)):
        with pytest.raises(OutputError, match=r"^task 1/2 is writing to .*arm already: wait until it ends, or choose"):
            one(array_source, out, "1/2")
        with pytest.raises(OutputError, match=r"^another ingest is writing to"):
            ingest(array_source, out, source="rlds", holdout=0.3)
        assert isinstance(one(array_source, out, "2/2"), Unfinished)
    with work_folder(out, overwrite=False), pytest.raises(OutputError, match=r"^another ingest is writing to"):
        one(array_source, out, "1/2")


def test_nothing_stays_of_a_task_that_was_refused(tmp_path: Path) -> None:
    folder, out = tmp_path / "empty", tmp_path / "out"
    write(folder, [moving(0)])
    with pytest.raises(OutputError):
        one(folder, folder / "inside", "1/2")
    with pytest.raises(Exception, match="observation-keys"):
        run_task("rlds", {"observation_keys": ("no",)}, folder, out, IngestSettings(runner="array", array_task="1/2"))
    assert not out.exists()


def test_a_task_is_for_run_task_alone(array_source: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="call run_task"):
        ingesting.run("rlds", {}, array_source, tmp_path, IngestSettings(runner="array", array_task="1/2"))
    with pytest.raises(SettingError, match="this is no task of an array"):
        run_task("rlds", {}, array_source, tmp_path, IngestSettings())
    with pytest.raises(SettingError, match="memory:// is seen by one process alone"):
        one(array_source, "memory://bucket/arm", "1/2")
