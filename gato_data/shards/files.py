"""The shard files of an open mixture: positioned reads, a bounded number of open files, bounded index memory.

Every failure names the file, the byte and, where it can be told, the record.
"""

import os
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from gato_data.permutation import Numbers
from gato_data.reading.settings import Verify
from gato_data.shards.file import ShardFile, most_open
from gato_data.shards.index import DatasetShard
from gato_schemas.errors import FormatError
from gato_schemas.index import ShardIndex
from gato_schemas.tfrecord import FOOTER_BYTES, HEADER_BYTES, crc32c, frame_of, masked

_SAMPLED_FRAMES = 10
_CHECKED_BYTES = 1 << 18


class ShardFiles:
    """Reads from the shards of a mixture, by number; safe to use from several threads.

    Args:
        shards: all shards, in the order of their numbers.
        max_open: files kept open at a time; fewer where the system's limit on a process asks for it.
        index_bytes: indexes kept in memory; at least one is.
        verify: what is checked when a shard is first opened.
        map_files: map shards without compressed patches: they are only copied, which costs least from a map.
    """

    def __init__(
        self, shards: Sequence[DatasetShard], *, max_open: int, index_bytes: int, verify: Verify, map_files: bool
    ) -> None:
        self.shards = shards
        self._map = map_files
        self._max_open, self._index_bytes, self._verify = min(max_open, most_open()), index_bytes, verify
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

    def read_many(self, shard: Numbers, offset: Numbers, begin: Numbers, end: Numbers, view: memoryview) -> None:
        """Fill view[begin:end] from `offset` of a shard on, for each of N places; int64 (N,) each.

        Raises:
            FormatError: as `read`.
        """
        numbers = shard.tolist()
        maps: dict[int, memoryview | None] = {}
        last = offset + end - begin
        for number, at, beyond, first, stop in zip(
            numbers, offset.tolist(), last.tolist(), begin.tolist(), end.tolist(), strict=True
        ):
            if number not in maps:
                if len(maps) >= self._max_open:  # what is held here stays open
                    maps.clear()
                maps[number] = self._whole_map(number)
            mapped = maps[number]
            if mapped is not None and beyond <= len(mapped):
                view[first:stop] = mapped[at:beyond]
            else:
                self.read(number, at, view[first:stop])

    def _whole_map(self, shard: int) -> memoryview | None:
        file = self._file(shard)
        return file.mapped if file.is_whole() else None

    def read_large(self, shard: int, offset: int, out: NDArray[np.uint8]) -> None:
        """Fill `out` with the bytes of a shard from `offset` on; copied from the map where there is one.

        Raises:
            FormatError: as `read`.
        """
        mapped = self._whole_map(shard)
        if mapped is None or offset + len(out) > len(mapped):
            self.read(shard, offset, out.data)
            return
        if not self.is_cached(shard, offset + len(out) // 2):  # page faults would fetch one page after the other
            self.will_need(shard, offset, len(out))
        np.copyto(out, np.frombuffer(mapped, np.uint8, len(out), offset))

    def check_data(self, shard: int, record: int) -> None:
        """Compare one record of a shard, counted in the shard, with its checksum; it is read whole.

        Raises:
            FormatError: it is damaged, or as `read`.
        """
        self._check_data(shard, self._file(shard), record)

    def is_cached(self, shard: int, offset: int) -> bool:
        """Whether a byte of a shard can be read without waiting for a disk."""
        file = self._file(shard)
        try:
            return os.preadv(file.fd, (bytearray(1),), offset, os.RWF_NOWAIT) == 1
        except OSError:  # it would have to wait, or the file system cannot tell
            return False

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
            file = ShardFile(path)
        except OSError as error:
            raise _not_opened(path, error) from error
        _check_size(path, file.size, info.size)
        os.posix_fadvise(file.fd, 0, 0, os.POSIX_FADV_RANDOM)
        if self._verify != "off" and shard not in self._checked:
            self._check_records(shard, file)
            self._checked.add(shard)
        if self._map and (not info.totals.patches or self.shards[shard].manifest.patch_encoding.name == "raw"):
            with suppress(OSError):  # without a map it is read like any other
                file.map()
        with self._lock:
            self._open[shard] = file
            while len(self._open) > self._max_open:
                self._open.popitem(last=False)
        return file

    def _check_records(self, shard: int, file: ShardFile) -> None:
        records = len(self.index(shard))
        if self._verify == "full":
            for record in range(records):
                self._check_frame(shard, file, record)
                self._check_data(shard, file, record)
            return
        for record in np.unique(np.linspace(0, records - 1, min(records, _SAMPLED_FRAMES), dtype=np.int64)).tolist():
            self._check_frame(shard, file, record)

    def _check_frame(self, shard: int, file: ShardFile, record: int) -> None:
        index = self.index(shard)
        offset, length = int(index.offset[record]), int(index.length[record])
        found = file.read(offset - HEADER_BYTES, HEADER_BYTES), file.read(offset + length, FOOTER_BYTES)
        if found != frame_of(length, int(index.crc[record])):
            raise self.error(shard, offset, "has another record here than its index says: run gato-data verify")

    def _check_data(self, shard: int, file: ShardFile, record: int) -> None:
        index = self.index(shard)
        offset, length, crc = int(index.offset[record]), int(index.length[record]), 0
        if file.mapped is not None and file.is_whole():
            crc = crc32c(file.mapped[offset : offset + length])
        else:
            block = memoryview(bytearray(min(length, _CHECKED_BYTES)))
            for start in range(0, length, _CHECKED_BYTES):
                part = block[: min(length - start, _CHECKED_BYTES)]
                done = file.fill(offset + start, part)
                crc = crc32c(part[:done], crc)
        if masked(crc) != int(index.crc[record]):
            raise self.error(shard, offset, "does not match its checksum: run gato-data verify")


def _not_opened(path: Path, error: OSError) -> FormatError:
    return FormatError(f"shard {path} cannot be opened ({error.strerror}): its dataset's manifest names it")


def _check_size(path: Path, found: int, wanted: int) -> None:
    if found != wanted:
        raise FormatError(f"shard {path} has {found} bytes, its manifest says {wanted}: was it truncated?")
