"""Records of coming batches fetched before they are needed: which batch reads what is known long before."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gato_data.errors import SettingError
from gato_data.permutation import Numbers
from gato_data.remote.leaving import Record
from gato_data.remote.mirror import mirror_of
from gato_data.remote.record_cache import RecordCache, open_cache
from gato_data.shards.episodes import EpisodeTable

FETCHERS = 16
"""Requests that are under way at a time."""
AHEAD_BYTES = 1 << 27
"""Bytes that are fetched ahead of their use, at most; half the cache where that is less."""
FORESEEN = 1 << 16
"""Samples whose records are known ahead, so that what is needed last can leave the cache first."""


class RemoteShards:
    """Which shards of a mixture are at addresses, and their numbers in the cache.

    Args:
        paths: of all shards.
        limit: bytes of the cache.

    Attributes:
        is_remote: bool (S,).
        cache: of all that are.
    """

    def __init__(self, paths: Sequence[Path], limit: int) -> None:
        mirrors = [mirror_of(path.parent) for path in paths]
        self.is_remote = np.array([mirror is not None for mirror in mirrors], np.bool_)
        self._paths = paths
        folder = next(mirror.cache for mirror in mirrors if mirror is not None)
        self.cache: RecordCache = open_cache(folder, limit)
        self._numbers: dict[int, int] = {}

    def number(self, shard: int) -> int:
        """The number of a shard in the cache; raises as `RecordCache.number`."""
        if shard not in self._numbers:
            self._numbers[shard] = self.cache.number(self._paths[shard])
        return self._numbers[shard]


@dataclass(slots=True, eq=False)
class _Coming:
    """A batch to come: its records, when it comes, and how many bytes they are."""

    records: list[Record]
    time: int
    size: int
    asked: bool = False


@dataclass(slots=True)
class _Stream:
    """Batches that were announced and not yet read, by the samples they begin with; and those not yet asked for."""

    coming: dict[int, _Coming] = field(default_factory=dict)
    waiting: deque[_Coming] = field(default_factory=deque)
    asked_bytes: int = 0


class ReadAhead:
    """Fetches for one reader; safe to use from several threads.

    Args:
        shards: of the mixture.
        table: the episodes of the mixture.
    """

    def __init__(self, shards: RemoteShards, table: EpisodeTable) -> None:
        self._shards, self._table = shards, table
        self._stream, self._lock = _Stream(), threading.Lock()
        self._jobs: deque[list[Record]] = deque()
        self._fetchers = 0

    def announce(self, first: int, record: Numbers, shard: Numbers) -> None:
        """A batch to come: its first sample, and what it reads, int64 (N,) each, counted through the mixture.

        Raises:
            SettingError: the cache does not hold its records: they would be fetched again and again.
        """
        records = self._records(record, shard)
        cache, stream = self._shards.cache, self._stream
        size = sum(stop - start for start, stop in map(cache.span, records))
        if size > cache.limit:
            raise SettingError(
                f"a batch reads records of {size / 2**20:,.1f} MiB, which is more than the cache of "
                f"{cache.limit / 2**20:,.1f} MiB: raise --cache-size or make the batch smaller"
            )
        with self._lock:
            coming = _Coming(records, cache.clock + len(stream.coming), size)
            stream.coming[first] = coming
            stream.waiting.append(coming)
        cache.expect(records, coming.time)
        self._ask()

    def read(self, first: int) -> None:
        """A batch was read."""
        with self._lock:
            coming = self._stream.coming.pop(first, None)
            if coming is not None and coming.asked:
                self._stream.asked_bytes -= coming.size
        if coming is not None:
            self._shards.cache.used(coming.records, coming.time)
            self._ask()

    def fetch(self, record: Numbers, shard: Numbers) -> None:
        """Fetch some records now, side by side; those that fail say so where they are read."""
        self._submit(self._records(record, shard))

    def stop(self) -> None:
        """Forget all batches to come."""
        with self._lock:
            left, self._stream = self._stream, _Stream()
            self._jobs.clear()
        for coming in left.coming.values():
            self._shards.cache.used(coming.records, coming.time)

    def _records(self, record: Numbers, shard: Numbers) -> list[Record]:
        remote = self._shards.is_remote[shard]
        if not remote.any():
            return []
        each = np.unique(record[remote])
        of = np.searchsorted(self._table.shard_record, each, side="right") - 1
        local = self._table.locals(each, of)
        return [(self._shards.number(s), r) for s, r in zip(of.tolist(), local.tolist(), strict=True)]

    def _ask(self) -> None:
        """Have the next batches fetched, as far as there may be."""
        most = min(AHEAD_BYTES, self._shards.cache.limit // 2)
        while True:
            with self._lock:
                stream = self._stream
                if not stream.waiting or (stream.asked_bytes + stream.waiting[0].size > most and stream.asked_bytes):
                    return
                coming = stream.waiting.popleft()
                coming.asked = True
                stream.asked_bytes += coming.size
            self._submit(coming.records)

    def _submit(self, records: Sequence[Record]) -> None:
        groups = self._shards.cache.groups(self._shards.cache.claim(records))
        with self._lock:
            self._jobs.extend(groups)
            new = min(FETCHERS, len(self._jobs)) - self._fetchers
            self._fetchers += max(new, 0)
        for _ in range(new):
            threading.Thread(target=self._work, daemon=True, name="gato-fetch").start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._fetchers -= 1
                    return
                group = self._jobs.popleft()
            self._shards.cache.fetch(group, wait=False)


def read_ahead(paths: Sequence[Path], table: EpisodeTable, limit: int) -> ReadAhead | None:
    """What fetches for a reader of shards; None where all of them are on this machine."""
    return ReadAhead(RemoteShards(paths, limit), table) if any(mirror_of(path.parent) for path in paths) else None
