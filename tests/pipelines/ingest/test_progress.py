"""StageProgress of an ingest, told from its files: what it says in the middle, at the end, and of a continued run."""

from pathlib import Path
from threading import Event
from typing import Any

import pytest

from gato_pipelines.ingest import dataset_writer, shards
from gato_pipelines.ingest.episodes_read import EpisodesRead, episodes_read
from gato_pipelines.ingest.progress import StageProgress, WriteProgress, watching
from gato_pipelines.ingest.run import IngestSettings, run
from gato_schemas.dataset import read_manifest
from gato_schemas.index import SUFFIX
from tests import rlds_inputs
from tests.rlds_inputs import digests


class Noting:
    """A watcher that keeps what it is shown."""

    def __init__(self, every: float = 3600.0) -> None:
        self.every = every
        self.shown: list[StageProgress] = []
        self.called = Event()

    def show(self, progress: StageProgress) -> None:
        self.shown.append(progress)
        self.called.set()


@pytest.mark.parametrize("workers", [1, 2])
def test_the_last_look_is_what_the_manifest_says(recording: Path, tmp_path: Path, workers: int) -> None:
    watcher, out = Noting(), tmp_path / "breakout"
    run("atari", {}, recording, out, IngestSettings(holdout=0.55, workers=workers), watcher=watcher)
    scan, write = watcher.shown
    assert (scan.stage, scan.parts, scan.parts_done, scan.share) == ("scan", 3, 3, 1.0)
    splits = read_manifest(out).splits.values()
    assert (write.stage, write.parts, write.parts_done, write.parts_before) == ("write", 3, 3, 0)
    assert (write.episodes, write.episodes_done, write.share) == (6, 6, 1.0)
    assert write.tokens == sum(split.totals.tokens for split in splits)
    assert write.size == sum(shard.size for split in splits for shard in split.shards)
    assert write.seconds_left == 0


def test_a_watcher_changes_no_byte(recording: Path, breakout: Path, tmp_path: Path) -> None:
    watcher = Noting(every=0.001)
    run("atari", {}, recording, tmp_path / "breakout", IngestSettings(holdout=0.55, workers=1), watcher=watcher)
    assert digests(tmp_path / "breakout") == digests(breakout)
    assert len(watcher.shown) > 2
    done = [progress.parts_done for progress in watcher.shown if progress.stage == "write"]
    assert done == sorted(done)


def looks_at_every_index(monkeypatch: pytest.MonkeyPatch) -> list[StageProgress]:
    """Looks at an ingest in this process whenever both shards of a part are written and neither has its name."""
    found: list[StageProgress] = []
    looks: list[Any] = []
    write = shards.write_durably

    def watched(look: Any, watcher: Any) -> Any:
        looks.append(look)
        return watching(look, watcher)

    def noted(path: Path, data: bytes) -> None:
        if path.name.endswith(SUFFIX) and "-train." in path.name:
            found.append(looks[-1]())
        write(path, data)

    def in_this_process(elements: Any, function: Any, *_: Any) -> None:
        for element in elements:
            function(element)

    monkeypatch.setattr(dataset_writer, "watching", watched)
    monkeypatch.setattr(dataset_writer, "run_over", in_this_process)
    monkeypatch.setattr(shards, "write_durably", noted)
    return found


def test_temporary_shards_count(recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = looks_at_every_index(monkeypatch)
    out = tmp_path / "breakout"
    run("atari", {}, recording, out, IngestSettings(holdout=0.55, workers=1))
    assert [look.parts_done for look in looks] == [0, 1, 2]
    assert [look.episodes_done for look in looks] == [2, 4, 6]
    assert looks[0].tokens is None
    assert all(look.tokens is not None and look.tokens > 0 for look in looks[1:])
    sizes = [look.size for look in looks]
    assert sizes == sorted(sizes)
    assert 0 < sizes[0] < sizes[-1] <= sum(path.stat().st_size for path in out.glob("*.tfrecord-*"))


def test_a_continued_run_knows_what_was_there_before(recording: Path, breakout: Path, tmp_path: Path) -> None:
    out, settings = tmp_path / "breakout", IngestSettings(holdout=0.55, workers=1)

    def interrupted(elements: Any, function: Any, *_: Any) -> None:
        function(0)
        function(2)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset_writer, "run_over", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run("atari", {}, recording, out, settings)
    watcher = Noting()
    run("atari", {}, recording, out, settings, watcher=watcher)
    last = watcher.shown[-1]
    assert (last.parts, last.parts_before, last.parts_done) == (3, 2, 3)
    assert (last.episodes, last.episodes_before, last.episodes_done) == (6, 4, 6)
    assert digests(out) == digests(breakout)
    pair = [shard for split in read_manifest(out).splits.values() for shard in split.shards if "-00001-" in shard.name]
    assert last.size == sum(shard.size for shard in pair)


def test_time_left_is_at_the_speed_of_this_run() -> None:
    there = {"stage": "write", "parts": 10, "episodes": 1000, "seconds": 30.0}
    half = StageProgress(**there, parts_before=5, episodes_before=500, episodes_done=600, size=3_000_000)
    assert half.seconds_left == pytest.approx(120.0)
    assert half.bytes_per_second == 100_000
    assert StageProgress(**there, episodes_before=500, episodes_done=500).seconds_left is None
    scan = StageProgress(stage="scan", parts=4, parts_done=2, parts_before=1, seconds=3.0)
    assert (scan.share, scan.seconds_left) == (0.5, pytest.approx(6.0))
    assert StageProgress(stage="scan", parts=0).share == 0


def test_a_worker_leaves_how_many_episodes_it_has_read(tmp_path: Path) -> None:
    assert episodes_read(tmp_path) == 0
    with EpisodesRead(tmp_path) as read:
        for _ in range(7):
            read.count(1)
        assert 1 <= episodes_read(tmp_path) <= 7
        read.count(300)
    assert episodes_read(tmp_path) == 307
    assert episodes_read(tmp_path / "gone") == 0


def test_one_part_that_takes_long_moves_the_bar(recording: Path, tmp_path: Path) -> None:
    found = rlds_inputs.job(recording, tmp_path / "out")
    look = WriteProgress(found, [0, 1, 2])
    shares = [look().share]
    for name, episodes in (("part-00000-a", 1), ("part-00000-b", 2), ("part-00001-c", 99)):
        folder = found.out / ".ingest" / name
        folder.mkdir(parents=True)
        with EpisodesRead(folder) as read:
            read.count(episodes)
        shares.append(look().share)
    assert shares == [pytest.approx(done / 6) for done in (0, 1, 2, 4)], "of one part the furthest counts"


def test_a_task_of_an_array_is_shown_its_own_parts(recording: Path, tmp_path: Path) -> None:
    found = rlds_inputs.job(recording, tmp_path / "out")
    look = WriteProgress(found, [2], [0, 2])()
    assert (look.parts, look.parts_done, look.parts_before, look.episodes, look.episodes_done) == (2, 1, 1, 4, 2)


def test_files_that_are_no_shards_of_ours_do_not_count(recording: Path, tmp_path: Path) -> None:
    found = rlds_inputs.job(recording, tmp_path / "out")
    for name in ("part-00000-a", "part-x-b", "part-99999-c", "other"):
        folder = found.out / ".ingest" / name
        folder.mkdir(parents=True)
        (folder / "shard").write_bytes(b"\xff" * 100)
        (folder / ("shard" + SUFFIX)).write_bytes(b"\xff" * 1000)
    (found.out / (found.shard(0, "train").name + SUFFIX)).write_bytes(b"no index")
    look = WriteProgress(found, [0])()
    assert (look.parts_done, look.episodes_done, look.size) == (2, 4, 100)


@pytest.mark.parametrize("fails", ["look", "show"])
def test_progress_that_cannot_be_seen_stops_nothing(fails: str) -> None:
    watcher = Noting(every=0.001)

    def look() -> StageProgress:
        if fails == "look":
            watcher.called.set()
            raise PermissionError("closed")
        return StageProgress(stage="scan", parts=1)

    def show(progress: StageProgress) -> None:
        watcher.called.set()
        raise BrokenPipeError

    if fails == "show":
        watcher.show = show  # type: ignore[method-assign]
    with watching(look, watcher):
        assert watcher.called.wait(60)


def test_nothing_more_is_shown_after_a_failure() -> None:
    watcher = Noting()
    with pytest.raises(RuntimeError), watching(lambda: StageProgress(stage="scan", parts=1), watcher):
        raise RuntimeError
    assert watcher.shown == []
