"""How far an ingest is, told from the files that it has left so far: the same on every runner.

Finished parts are known by the indexes of their shards, parts that are being written by their temporary shards in the
work folder. A thread of the process that started the ingest looks at them now and then; the workers tell nothing.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Literal, Protocol

from gato_pipelines.ingest.shards import WORK, Job, finished
from gato_schemas.index import SUFFIX
from gato_schemas.tfrecord import FOOTER_BYTES, HEADER_BYTES

_MAX_HEADERS = 20_000
"""Record headers that are read at one look: a look has to be short, and the next one goes on."""
_REST = 20
"""The thread looks for at most one part in this many of its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a stage of an ingest is.

    Attributes:
        stage: "scan" looks at all parts, "write" writes their shards.
        parts, parts_done: of the whole dataset.
        parts_before: of these, the ones that an earlier run had finished.
        episodes: of the whole dataset; 0 where they are not known yet.
        episodes_done: of finished parts, and as many as the temporary shards hold.
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

    def show(self, progress: Progress) -> None:
        """Called in a thread of its own, and once more when a stage has ended well."""


@contextmanager
def watching(look: Callable[[], Progress], watcher: Watcher | None) -> Iterator[None]:
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


def _watch(look: Callable[[], Progress], watcher: Watcher, stop: Event) -> None:
    pause = watcher.every
    while not stop.wait(pause):
        start = time.thread_time()
        if not _look(look, watcher):
            return
        pause = max(watcher.every, _REST * (time.thread_time() - start))


def _look(look: Callable[[], Progress], watcher: Watcher) -> bool:
    """Look once; where files or the terminal cannot be reached nothing is shown, and no harm is done."""
    try:
        watcher.show(look())
    except OSError:
        return False
    return True


def scan_progress(work: Path, prefix: str, parts: int) -> Callable[[], Progress]:
    """A look at the planning pass, which leaves a file for every part in `work`."""
    start, before = time.monotonic(), _count(work, prefix)

    def look() -> Progress:
        return Progress(
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
    """

    def __init__(self, job: Job, todo: Iterable[int]) -> None:
        self._job = job
        self._todo = dict.fromkeys(todo)
        self._before = len(job.plan.parts) - len(self._todo)
        self._episodes = sum(part.count for part in job.plan.parts)
        self._episodes_before = self._episodes - sum(job.plan.parts[number].count for number in self._todo)
        self._episodes_done = self._episodes_before
        self._tokens = self._size = 0
        self._shards: dict[Path, _TemporaryShard] = {}
        self._start = time.monotonic()

    def __call__(self) -> Progress:
        """What the files say now."""
        self._count_finished()
        episodes, size = self._temporary()
        tokens = round(self._tokens * (1 + size / self._size)) if self._size else None
        return Progress(
            stage="write",
            parts=len(self._job.plan.parts),
            parts_done=len(self._job.plan.parts) - len(self._todo),
            parts_before=self._before,
            episodes=self._episodes,
            episodes_done=min(self._episodes_done + episodes, self._episodes),
            episodes_before=self._episodes_before,
            tokens=tokens,
            size=self._size + size,
            seconds=time.monotonic() - self._start,
        )

    def _count_finished(self) -> None:
        """Add up the parts that were finished since the last look."""
        names = set(_names(self._job.out))
        for number in list(self._todo):
            if self._job.shard(number, self._job.splits[-1]).name + SUFFIX not in names:
                continue
            indexes = finished(self._job, number)
            if indexes is None:
                continue  # of an older run: it is about to be replaced
            del self._todo[number]
            self._episodes_done += self._job.plan.parts[number].count
            self._tokens += sum(index.header.totals.tokens for index in indexes.values())
            self._size += sum(index.header.shard_size for index in indexes.values())

    def _temporary(self) -> tuple[int, int]:
        """Episodes and bytes in the temporary shards of parts that are not finished."""
        episodes, sizes, budget = dict.fromkeys(self._todo, 0), 0, _MAX_HEADERS
        seen: dict[Path, _TemporaryShard] = {}
        for folder in _names(self._job.out / WORK):
            number = folder.split("-")[1] if folder.startswith("part-") else ""
            if not number.isdecimal() or int(number) not in self._todo:
                continue
            place, records = self._job.out / WORK / folder, 0
            for name in _names(place):
                if name.endswith((SUFFIX, ".tmp")):
                    continue
                shard = seen[place / name] = self._shards.get(place / name) or _TemporaryShard()
                budget -= shard.read_on(place / name, budget)
                records += shard.records
                sizes += shard.size
            count = self._job.plan.parts[int(number)].count
            episodes[int(number)] = max(episodes[int(number)], min(records, count))
        self._shards = seen
        return sum(episodes.values()), sizes


class _TemporaryShard:
    """A shard that is being written: its whole records so far, found by stepping from one header to the next."""

    def __init__(self) -> None:
        self.records = 0
        self.size = 0
        self._at = 0

    def read_on(self, path: Path, budget: int) -> int:
        """Count the records that have been added, at most `budget`; returns how many there were."""
        before = self.records
        try:
            with path.open("rb") as file:
                self.size = os.fstat(file.fileno()).st_size
                while self.records - before < budget and self._at + HEADER_BYTES <= self.size:
                    length = int.from_bytes(os.pread(file.fileno(), 8, self._at), "little")
                    end = self._at + HEADER_BYTES + length + FOOTER_BYTES
                    if end > self.size:
                        break
                    self._at, self.records = end, self.records + 1
        except FileNotFoundError:
            self.size = 0  # it was given its name at this very moment
        return self.records - before


def _names(folder: Path) -> list[str]:
    """Names in a folder; none where it is gone."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
