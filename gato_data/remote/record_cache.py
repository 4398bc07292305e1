"""Records of remote shards on the local disk, within a bound: what is needed last goes first, since that is known.

One folder belongs to one process at a time, so processes that share a cache do not take each other's records away. The
files are named after the shards' digests, and a record counts as there only if it matches its checksum: what another
run left behind, even one that was killed, is used again.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from gato_data.errors import SettingError
from gato_data.remote.cache_file import PAGE, CacheFile, own_folder, punch
from gato_data.remote.leaving import Leaving, Record
from gato_data.remote.mirror import mirror_of

NEAR_BYTES, MERGED_BYTES = 4096, 1 << 22
"""Bytes between two records that are fetched with them in one request; and the most that one request fetches."""
CACHE_BYTES = 1 << 34
"""Bytes on the disk that are kept if nothing else is said."""
_KEPT_OPEN = 128
_CACHES: dict[tuple[int, Path], "RecordCache"] = {}


def open_cache(folder: Path, limit: int | None = None) -> "RecordCache":
    """The cache of this process in a folder, which all its readers share.

    Args:
        folder: where other processes may have caches too.
        limit: bytes on the disk; None leaves it as it is, or `CACHE_BYTES`.

    Raises:
        SettingError: as `RecordCache`.
    """
    key = os.getpid(), folder
    if key not in _CACHES:
        _CACHES[key] = RecordCache(folder, limit or CACHE_BYTES)
    if limit is not None:
        _CACHES[key].limit = limit
    return _CACHES[key]


class RecordCache:
    """The records of one process. Safe to use from several threads.

    Args:
        folder: where other processes may have caches too.
        limit: bytes on the disk.

    Attributes:
        limit: as given.
        held: bytes on the disk now. most_held: the most there ever were.
        requests, fetched: how many ranges, and bytes of them, came from stores.

    Raises:
        SettingError: the folder cannot be written, or its file system cannot give back parts of a file.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.limit = limit
        self.requests = self.fetched = 0
        self._folder, self._lock_file = own_folder(folder)
        self._others = {path: path.stat().st_blocks * 512 for path in self._folder.iterdir() if path.name != "lock"}
        self.held = self.most_held = sum(self._others.values())
        self._numbers: dict[Path, int] = {}
        self._files: list[CacheFile] = []
        self._open: OrderedDict[int, int] = OrderedDict()
        self._there = Leaving()
        self._unchecked: set[Record] = set()
        self._in_flight: set[Record] = set()
        self._failed: dict[Record, Exception] = {}
        self._clock = 0
        self.changed = threading.Condition()

    def number(self, path: Path) -> int:
        """The number of a mirror's shard, given by its path.

        Raises:
            FormatError: its index is damaged.
            SettingError: a record of it takes more than a quarter of the cache.
        """
        with self.changed:
            if path not in self._numbers:
                mirror = mirror_of(path.parent)
                assert mirror is not None
                file = CacheFile(mirror, path.name, self._folder)
                longest = int(np.diff(file.bounds).max(initial=0))
                if 4 * longest > self.limit:
                    raise SettingError(
                        f"a record of {path.name} has {longest / 2**20:.1f} MiB, which is more than a quarter of the "
                        f"cache of {self.limit / 2**20:.1f} MiB: raise --cache-size"
                    )
                self._numbers[path] = len(self._files)
                self._files.append(file)
                self._take_over(len(self._files) - 1)
            return self._numbers[path]

    def span(self, record: Record) -> tuple[int, int]:
        """First byte of a record's frame in its shard, and the one past it."""
        return self._files[record[0]].span(record[1])

    def size(self, number: int) -> int:
        """Bytes of a shard."""
        return self._files[number].size

    def read(self, number: int, offset: int, view: memoryview) -> int:
        """Fill `view` from `offset` of a shard on, and fetch what is not there; how many bytes there were.

        Raises:
            InputError: the store does not give them, or gives others.
            SettingError: the folder cannot be written any more.
        """
        file = self._files[number]
        bounds = file.bounds
        stop = min(offset + len(view), int(bounds[-1]))
        if stop <= offset:
            return 0
        first = int(np.searchsorted(bounds, offset, side="right")) - 1
        last = int(np.searchsorted(bounds, stop, side="left"))
        wanted = [(number, record) for record in range(first, last)]
        while True:
            with self.changed:
                if all(self._is_there(record) for record in wanted):
                    return os.preadv(self._fd(number), (view[: stop - offset],), offset)
                if coming := [record for record in wanted if record in self._in_flight]:
                    self._wait_for(coming)
                for record in wanted:
                    if (error := self._failed.pop(record, None)) is not None:
                        raise error
                missing = [r for r in wanted if not self._is_there(r) and r not in self._in_flight]
                self._in_flight.update(missing)
            for group in self.groups(missing):
                self.fetch(group, wait=True)

    def expect(self, records: Iterable[Record], time: int) -> None:
        """Note that records will be needed at a time, batches counted; later than what was noted of them before."""
        with self.changed:
            for record in records:
                self._there.expect(record, time)

    def used(self, records: Iterable[Record], time: int) -> None:
        """Note that they were used, or will not be."""
        with self.changed:
            self._clock += 1
            for record in records:
                self._there.used(record, time)

    @property
    def clock(self) -> int:
        """Batches that were read, over all readers."""
        return self._clock

    def claim(self, records: Iterable[Record]) -> list[Record]:
        """Those of the records that are neither there nor on their way; the caller has to fetch them."""
        with self.changed:
            missing = [
                r for r in records if r not in self._in_flight and r not in self._failed and not self._is_there(r)
            ]
            self._in_flight.update(missing)
        return missing

    def groups(self, records: Sequence[Record]) -> list[list[Record]]:
        """The records that one request fetches each."""
        groups: list[list[Record]] = []
        begin = end = 0
        for record in sorted(records):
            start, stop = self._files[record[0]].span(record[1])
            near = groups and groups[-1][-1][0] == record[0] and start - end <= NEAR_BYTES
            if near and stop - begin <= MERGED_BYTES:
                groups[-1].append(record)
            else:
                groups.append([record])
                begin = start
            end = stop
        return groups

    def fetch(self, group: Sequence[Record], *, wait: bool) -> None:
        """Fetch claimed records with one request; a failure is raised, or kept for the one who needs them.

        Raises:
            InputError: the store does not give them, or gives others.
            SettingError: the folder cannot be written any more.
        """
        file = self._files[group[0][0]]
        start, stop = file.span(group[0][1])[0], file.span(group[-1][1])[1]

        def problem(data: bytes) -> str:
            with self.changed:
                self.requests, self.fetched = self.requests + 1, self.fetched + len(data)
            return next(filter(None, (file.problem(r, _part(file, r, data, start)) for _, r in group)), "")

        try:
            data = file.mirror.fetch(file.name, start, stop, problem)
            with self.changed:
                self._keep(group, data, start)
        except Exception as error:
            if wait:
                raise
            with self.changed:
                self._failed.update(dict.fromkeys(group, error))
        finally:  # whatever went wrong, nobody may wait for them any longer
            with self.changed:
                self._in_flight.difference_update(group)
                self.changed.notify_all()

    def close(self) -> None:
        """Close all files; what is in them stays."""
        with self.changed:
            while self._open:
                os.close(self._open.popitem()[1])
            os.close(self._lock_file)

    def _wait_for(self, coming: Sequence[Record]) -> None:
        """Wait until nothing of them is being fetched."""
        self.changed.wait_for(lambda: not self._in_flight.intersection(coming))

    def _keep(self, group: Sequence[Record], data: bytes, start: int) -> None:
        """Write those of a group that are not there; raises SettingError where the folder does not take them."""
        try:
            for record in group:
                if record not in self._there:
                    file, part = self._files[record[0]], _part(self._files[record[0]], record[1], data, start)
                    self._make_room(len(part) + 2 * PAGE)
                    file.put(self._fd(record[0]), record[1], part)
                    self._count(record)
        except OSError as error:
            raise SettingError(
                f"the cache {self._folder.parent} cannot be written ({error.strerror}): make room there, lower "
                "--cache-size, or give another --cache"
            ) from error

    def _count(self, record: Record) -> None:
        self.held += self._files[record[0]].count(record[1])
        self.most_held = max(self.most_held, self.held)
        self._there.add(record)

    def _make_room(self, size: int) -> None:
        while self.held + size > self.limit and self._others:  # shards of other runs
            path, held = self._others.popitem()
            path.unlink(missing_ok=True)
            self.held -= held
        while self.held + size > self.limit and (record := self._there.first()) is not None:
            self._drop(record)

    def _drop(self, record: Record) -> None:
        self._there.remove(record)
        self._unchecked.discard(record)
        self.held -= self._files[record[0]].drop(self._fd(record[0]), record[1])

    def _is_there(self, record: Record) -> bool:
        if record not in self._there:
            return False
        if record in self._unchecked:
            file = self._files[record[0]]
            start, stop = file.span(record[1])
            data = os.pread(self._fd(record[0]), stop - start, start)
            if len(data) != stop - start or file.problem(record[1], data):
                self._drop(record)
                return False
            self._unchecked.discard(record)
        return True

    def _take_over(self, number: int) -> None:
        """Count what an earlier run left of a shard, as far as there is room."""
        file = self._files[number]
        self.held -= self._others.pop(file.path, 0)
        fd = self._fd(number)
        for which in file.left_behind(fd):
            start, stop = file.span(which)
            if self.held + stop - start + 2 * PAGE > self.limit:
                punch(fd, start, file.size)
                return
            self._unchecked.add((number, which))
            self._count((number, which))

    def _fd(self, number: int) -> int:
        fd = self._open.get(number)
        if fd is None:
            fd = os.open(self._files[number].path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if os.fstat(fd).st_size != self._files[number].size:
                os.ftruncate(fd, self._files[number].size)
            self._open[number] = fd
            while len(self._open) > _KEPT_OPEN:
                os.close(self._open.popitem(last=False)[1])
        return fd


def _part(file: CacheFile, record: int, data: bytes, start: int) -> memoryview:
    begin, end = file.span(record)
    return memoryview(data)[begin - start : end - start]
