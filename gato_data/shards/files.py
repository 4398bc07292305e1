"""The shard files of an open mixture: positioned reads, a bounded number of open files, bounded index memory.

Every failure names the file, the byte and, where it can be told, the record.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TypeAlias

import numpy as np

from gato_data.permutation import Numbers
from gato_data.remote.mirror import mirror_of
from gato_data.shards.checked import Verify
from gato_data.shards.file import ShardFile, most_open, open_shard
from gato_data.shards.index import DatasetShard
from gato_data.shards.record_checks import data_problem, frame_problem, hash_problem, head_problem
from gato_schemas.errors import FormatError
from gato_schemas.index import ShardIndex

Problem: TypeAlias = Callable[[ShardFile, ShardIndex, int], str]

_SAMPLED_FRAMES = 10


class ShardFiles:
    """Reads from the shards of a mixture, by number; safe to use from several threads.

    Args:
        shards: all shards, in the order of their numbers.
        max_open: files kept open at a time; fewer where the system's limit on a process asks for it.
        index_bytes: indexes kept in memory; at least one is.
        verify: what is checked when a shard is first opened.
        map_files: map shards without compressed patches: they are only copied, which costs least from a map.

    Attributes:
        max_open: files kept open at a time.
    """

    def __init__(
        self, shards: Sequence[DatasetShard], *, max_open: int, index_bytes: int, verify: Verify, map_files: bool
    ) -> None:
        self.shards = shards
        self._map = map_files
        self.max_open = min(max_open, most_open())
        self._index_bytes, self._verify = index_bytes, verify
        self._open: OrderedDict[int, ShardFile] = OrderedDict()
        self._indexes: OrderedDict[int, tuple[ShardIndex, int]] = OrderedDict()
        self._held = 0
        self._checked: set[int] = set()
        self._lock = Lock()

    def check_sizes(self) -> None:
        """Check that every shard is there and of the right size, without opening any.

        Raises:
            FormatError: one is missing, or of another size.
        """
        for shard in self.shards:
            try:
                size = shard.path.stat().st_size
            except OSError as error:
                raise _not_opened(shard.path, error) from error
            _check_size(shard.path, size, shard.info.size)

    def read(self, shard: int, offset: int, view: memoryview) -> None:
        """Fill `view` with the bytes of a shard from `offset` on.

        Raises:
            FormatError: the shard is missing, damaged, or ends before.
        """
        file = self._file(shard)
        try:
            done = file.fill(offset, view)
        except OSError as error:
            raise self.error(shard, offset, f"cannot be read ({error.strerror})") from error
        if done < len(view):
            raise self.error(shard, offset + done, "ends here, more was wanted: was it truncated?")

    def read_many(
        self, shard: Numbers, offset: Numbers, begin: Numbers, end: Numbers, view: memoryview, maps: "Maps"
    ) -> None:
        """Fill view[begin:end] from `offset` of a shard on, for each of N places; int64 (N,) each.

        Raises:
            FormatError: as `read`.
        """
        last = offset + end - begin
        for number, at, beyond, first, stop in zip(
            shard.tolist(), offset.tolist(), last.tolist(), begin.tolist(), end.tolist(), strict=True
        ):
            mapped = maps[number]
            if mapped is not None and beyond <= len(mapped):
                view[first:stop] = mapped[at:beyond]
            else:
                self.read(number, at, view[first:stop])

    def whole_map(self, shard: int) -> memoryview | None:
        """The map of a shard; None where it is not mapped, or no longer as long as it was."""
        return self._file(shard).whole_map()

    def check_data(self, shard: int, record: int) -> None:
        """Compare one record of a shard, counted in the shard, with its checksum, and its hashes with its patches.

        Raises:
            FormatError: it is damaged, or as `read`.
        """
        self._check(shard, self._file(shard), record, data_problem, hash_problem)

    def check_head(self, shard: int, record: int) -> None:
        """Check that the tokens of a record are stored, as its index says.

        Raises:
            FormatError: they are not, or as `read`.
        """
        self._check(shard, self._file(shard), record, head_problem)

    def is_cached(self, shard: int, offset: int) -> bool:
        """Whether a byte of a shard can be read without waiting for a disk."""
        return self._file(shard).is_cached(offset)

    def will_need(self, shard: int, offset: int, size: int) -> None:
        """Let the kernel begin to read some bytes; failures show when they are read."""
        file = self._file(shard)
        with suppress(OSError):
            os.posix_fadvise(file.fd, offset, size, os.POSIX_FADV_WILLNEED)

    def index(self, shard: int) -> ShardIndex:
        """The index of a shard, from memory if it is still there."""
        held = self._indexes.get(shard)
        return held[0] if held else self.keep_index(shard, *self.shards[shard].load_index())

    def keep_index(self, shard: int, index: ShardIndex, size: int) -> ShardIndex:
        """Put an index that was just loaded into the memory set aside for indexes."""
        with self._lock:
            if shard not in self._indexes:
                self._indexes[shard] = (index, size)
                self._held += size
                self._drop_indexes()
        return index

    def limit_indexes(self, size: int) -> None:
        """Keep at most so many bytes of indexes from now on; one index stays in any case."""
        with self._lock:
            self._index_bytes = size
            self._drop_indexes()

    def _drop_indexes(self) -> None:
        while self._held > self._index_bytes and len(self._indexes) > 1:
            self._held -= self._indexes.popitem(last=False)[1][1]

    def error(self, shard: int, offset: int, what: str) -> FormatError:
        """An error that names the file, the byte and the record."""
        index = self.index(shard)
        record = int(np.searchsorted(index.offset, np.uint64(max(offset, 0)), side="right")) - 1
        return FormatError(f"{self.shards[shard].path}, record {max(record, 0)}, byte {offset}: the shard {what}")

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            self._open.clear()
            self._indexes.clear()
            self._held = 0

    def _file(self, shard: int) -> ShardFile:
        return self._open.get(shard) or self._open_file(shard)

    def _open_file(self, shard: int) -> ShardFile:
        path, info = self.shards[shard].path, self.shards[shard].info
        try:
            file = open_shard(path)
        except OSError as error:
            raise _not_opened(path, error) from error
        _check_size(path, file.size, info.size)
        file.advise_random()
        if self._verify != "off" and shard not in self._checked and mirror_of(path.parent) is None:
            self._check_records(shard, file)
            self._checked.add(shard)
        if self._map and is_mapped(self.shards[shard]):
            with suppress(OSError):  # without a map it is read like any other
                file.map()
        with self._lock:
            self._open[shard] = file
            while len(self._open) > self.max_open:
                self._open.popitem(last=False)
        return file

    def _check_records(self, shard: int, file: ShardFile) -> None:
        records = len(self.index(shard))
        if self._verify == "full":
            for record in range(records):
                self._check(shard, file, record, frame_problem, data_problem, hash_problem)
            return
        for record in np.unique(np.linspace(0, records - 1, min(records, _SAMPLED_FRAMES), dtype=np.int64)).tolist():
            self._check(shard, file, record, frame_problem)

    def _check(self, shard: int, file: ShardFile, record: int, *problems: Problem) -> None:
        index = self.index(shard)
        for problem in problems:
            if what := problem(file, index, record):
                raise self.error(shard, int(index.offset[record]), what)


class Maps(dict[int, memoryview | None]):
    """The maps of shards that were whole when one batch first asked for them; None where one is not mapped, or cut."""

    def __init__(self, files: ShardFiles) -> None:
        super().__init__()
        self._files = files

    def __missing__(self, shard: int) -> memoryview | None:
        if len(self) >= self._files.max_open:  # what is held here stays open
            self.clear()
        self[shard] = found = self._files.whole_map(shard)
        return found


def is_mapped(shard: DatasetShard) -> bool:
    """Whether a shard is one to be mapped: nothing in it has to be inflated for every window."""
    return not shard.info.totals.patches or shard.manifest.patch_encoding.name == "raw"


def _not_opened(path: Path, error: OSError) -> FormatError:
    return FormatError(f"shard {path} cannot be opened ({error.strerror}): its dataset's manifest names it")


def _check_size(path: Path, found: int, wanted: int) -> None:
    if found != wanted:
        raise FormatError(f"shard {path} has {found} bytes, its manifest says {wanted}: was it truncated?")
