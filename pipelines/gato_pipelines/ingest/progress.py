"""How far an ingest is, told from the files that it has left so far: the same on every runner.

Finished parts are known by the indexes of their shards. A part that is being written has a folder
in the work folder, in which its worker keeps the number of episodes that it has read. A thread of
the process that started the ingest looks at them now and then.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Literal, Protocol

from gato_data.errors import GatoError
from gato_pipelines.ingest.episodes_read import EPISODES_FILE, episodes_read
from gato_pipelines.ingest.job import Job, finished
from gato_pipelines.ingest.settings import EngineName
from gato_pipelines.remote.output import RemoteOutput
from gato_pipelines.remote.work_files import WorkFiles
from gato_schemas.dataset import WORK
from gato_schemas.index import SUFFIX, index_path

_REST = 20
"""The thread looks for at most one part in this many of its time."""
_FOLLOW_SECONDS = 5.0
"""Between two lists of what is at an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageProgress:
    """How far a stage of an ingest is.

    Attributes:
        stage: "scan" looks at all parts, "write" writes their shards.
        parts, parts_done: of the whole dataset, or of one task of an array.
        parts_before: of these, the ones that an earlier run had finished.
        episodes: of these parts; 0 where they are not known yet.
        episodes_done: of finished parts, and those that were read of the others.
        episodes_before: those of `parts_before`.
        tokens: written by this run; None until its first part is finished.
        size: bytes written by this run.
        seconds: since the stage began.
    """

    stage: Literal["scan", "write"]
    parts: int
    parts_done: int = 0
    parts_before: int = 0
    episodes: int = 0
    episodes_done: int = 0
    episodes_before: int = 0
    tokens: int | None = None
    size: int = 0
    seconds: float = 0.0

    @property
    def share(self) -> float:
        """What is done, in [0, 1]."""
        if self.episodes:
            return self.episodes_done / self.episodes
        return self.parts_done / max(self.parts, 1)

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end of the stage at this run's speed; None while that cannot be told."""
        before = self.episodes_before / self.episodes if self.episodes else self.parts_before / max(self.parts, 1)
        done = self.share - before
        return self.seconds * (1 - self.share) / done if done > 0 else None

    @property
    def bytes_per_second(self) -> float:
        """Bytes written in a second of this run."""
        return self.size / self.seconds if self.seconds > 0 else 0.0


class Watcher(Protocol):
    """Is shown how far an ingest is.

    Attributes:
        every: seconds between two looks.
    """

    every: float

    def show(self, progress: StageProgress) -> None:
        """Called in a thread of its own, and once more when a stage has ended well."""


@contextmanager
def watching(look: Callable[[], StageProgress], watcher: Watcher | None) -> Iterator[None]:
    """Show `watcher` what `look` finds while the body runs."""
    if watcher is None:
        yield
        return
    stop = Event()
    thread = Thread(target=_watch, args=(look, watcher, stop), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    _look(look, watcher)


def _watch(look: Callable[[], StageProgress], watcher: Watcher, stop: Event) -> None:
    pause = watcher.every
    while not stop.wait(pause):
        start = time.thread_time()
        if not _look(look, watcher):
            return
        pause = max(watcher.every, _REST * (time.thread_time() - start))


def _look(look: Callable[[], StageProgress], watcher: Watcher) -> bool:
    """Look once; where files or the terminal cannot be reached nothing is shown, which does no harm."""
    try:
        watcher.show(look())
    except (OSError, GatoError):
        return False
    return True


def following(work: WorkFiles, runner: EngineName, look: Callable[[], StageProgress]) -> Callable[[], StageProgress]:
    """A look that sees what workers have left at an address, where they do not see this disk."""
    output = work.out
    if runner == "local" or not isinstance(output, RemoteOutput):
        return look
    earliest = 0.0

    def look_there() -> StageProgress:
        nonlocal earliest
        if (start := time.monotonic()) >= earliest:
            output.follow()
            earliest = start + max(_FOLLOW_SECONDS, _REST * (time.monotonic() - start))
        return look()

    return look_there


def scan_progress(work: Path, prefix: str, parts: int) -> Callable[[], StageProgress]:
    """A look at the planning pass, which leaves a file for every part in `work`."""
    start, before = time.monotonic(), _count(work, prefix)

    def look() -> StageProgress:
        return StageProgress(
            stage="scan",
            parts=parts,
            parts_done=min(_count(work, prefix), parts),
            parts_before=min(before, parts),
            seconds=time.monotonic() - start,
        )

    return look


def _count(folder: Path, prefix: str) -> int:
    return sum(name.startswith(prefix) and name.endswith(".json") for name in _names(folder))


class WriteProgress:
    """A look at the shards of a job, finished and temporary.

    Args:
        job: what is written.
        todo: the numbers of the parts that this run has to write.
        parts: the numbers of the parts that it is about; by default all of the dataset.
    """

    def __init__(self, job: Job, todo: Iterable[int], parts: Sequence[int] | None = None) -> None:
        self._job = job
        self._todo = dict.fromkeys(todo)
        self._parts = len(job.plan.parts) if parts is None else len(parts)
        self._before = self._parts - len(self._todo)
        mine = range(self._parts) if parts is None else parts
        self._episodes = sum(job.plan.parts[number].count for number in mine)
        self._episodes_before = self._episodes - sum(job.plan.parts[number].count for number in self._todo)
        self._episodes_done = self._episodes_before
        self._tokens = self._size = 0
        self._start = time.monotonic()

    def __call__(self) -> StageProgress:
        """What the files say now."""
        self._count_finished()
        episodes, size = self._unfinished()
        tokens = round(self._tokens * (1 + size / self._size)) if self._size else None
        return StageProgress(
            stage="write",
            parts=self._parts,
            parts_done=self._parts - len(self._todo),
            parts_before=self._before,
            episodes=self._episodes,
            episodes_done=self._episodes_done + episodes,
            episodes_before=self._episodes_before,
            tokens=tokens,
            size=self._size + size,
            seconds=time.monotonic() - self._start,
        )

    def _count_finished(self) -> None:
        """Add up the parts that were finished since the last look."""
        names = set(_names(self._job.out))
        for number in list(self._todo):
            if index_path(self._job.shard(number, self._job.splits[-1])).name not in names:
                continue
            indexes = finished(self._job, number)
            if indexes is None:
                continue  # of an older run: it is about to be replaced
            del self._todo[number]
            self._episodes_done += self._job.plan.parts[number].count
            self._tokens += sum(index.header.totals.tokens for index in indexes.values())
            self._size += sum(index.header.shard_size for index in indexes.values())

    def _unfinished(self) -> tuple[int, int]:
        """Episodes that were read of parts that are not finished, and bytes of their shards."""
        episodes, size = dict.fromkeys(self._todo, 0), 0
        for folder in (self._job.out / WORK).glob("part-*"):
            number = folder.name.split("-")[1]
            if not number.isdecimal() or int(number) not in episodes:
                continue
            read = min(episodes_read(folder), self._job.plan.parts[int(number)].count)
            episodes[int(number)] = max(episodes[int(number)], read)  # two may write the same part
            size += sum(_size(folder / name) for name in _names(folder) if _is_shard(name))
        return sum(episodes.values()), size


def _is_shard(name: str) -> bool:
    return not name.endswith((SUFFIX, ".tmp", EPISODES_FILE))


def _size(path: Path) -> int:
    """Bytes of a file; 0 where it was given its name at this very moment."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _names(folder: Path) -> list[str]:
    """Names in a folder; none where it is gone."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
