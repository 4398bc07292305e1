"""The cache's copy of a shard: a file of which records come and go, each with the pages that it needs on the disk."""

import ctypes
import fcntl
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import SettingError
from gato_data.remote.mirror import DatasetMirror
from gato_schemas.index import index_path, read_index
from gato_schemas.tfrecord import FOOTER_BYTES, HEADER_BYTES, crc32c, frame_of, masked

PAGE = 4096
_PUNCH_AND_KEEP_SIZE = 3


def punch(fd: int, start: int, stop: int) -> None:
    """Give bytes [start, stop) of a file back to the disk; they read as zeros. Raises OSError where that cannot be."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(fd, _PUNCH_AND_KEEP_SIZE, ctypes.c_long(start), ctypes.c_long(stop - start)):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def own_folder(folder: Path) -> tuple[Path, int]:
    """The first folder of records in a cache that no other process has, and its locked file.

    Raises:
        SettingError: the folder cannot be written, or its file system cannot give back parts of a file.
    """
    try:
        for number in range(1 << 16):
            own = folder / f"records-{number}"
            own.mkdir(parents=True, exist_ok=True)
            lock = os.open(own / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.pwrite(lock, bytes(2 * PAGE), 0)
                punch(lock, 0, PAGE)
                return own, lock
            os.close(lock)
    except OSError as error:
        raise SettingError(
            f"the cache {folder} cannot be used ({error.strerror}): give --cache a folder that can be written, on a "
            "disk whose file system can give back parts of a file (ext4, xfs, btrfs, tmpfs)"
        ) from error
    raise SettingError(f"the cache {folder} is used by too many processes: give --cache another folder")


class CacheFile:
    """One shard; not safe to use from several threads.

    Args:
        mirror: what its dataset is the mirror of.
        name: of the shard.
        folder: of the files of the cache.

    Attributes:
        mirror, name: as given.
        path: where its records are kept.
        bounds: int64 (R + 1,), where the frames of its records begin and end.
        there: bool (R,), which of them are in the file.
    """

    def __init__(self, mirror: DatasetMirror, name: str, folder: Path) -> None:
        index = read_index(index_path(mirror.folder / name))
        self.mirror, self.name = mirror, name
        self.path = folder / index.header.digest
        self.size = index.header.shard_size
        self._lengths, self._crcs = np.array(index.length), np.array(index.crc)
        ends = index.offset.astype(np.int64) + index.length + FOOTER_BYTES
        self.bounds: NDArray[np.int64] = np.concatenate([[0], ends])
        self.there = np.zeros(len(index), np.bool_)
        self._shared: Counter[int] = Counter()

    def span(self, record: int) -> tuple[int, int]:
        """First byte of a record's frame, and the one past it."""
        return int(self.bounds[record]), int(self.bounds[record + 1])

    def problem(self, record: int, data: bytes | memoryview) -> str:
        """What is wrong with a record's frame; "" for nothing."""
        length, crc = int(self._lengths[record]), int(self._crcs[record])
        head, body, foot = data[:HEADER_BYTES], data[HEADER_BYTES:-FOOTER_BYTES], data[-FOOTER_BYTES:]
        if (bytes(head), bytes(foot)) != frame_of(length, crc) or masked(crc32c(bytes(body))) != crc:
            return f"record {record} does not match its checksum"
        return ""

    def put(self, fd: int, record: int, data: bytes | memoryview) -> None:
        """Write a record's frame; raises OSError."""
        os.pwrite(fd, data, int(self.bounds[record]))

    def count(self, record: int) -> int:
        """Count a record as one that is there; bytes of the pages that this takes."""
        first, last = self._pages(record)
        fresh = max(last - first - 1, 0)
        for page in {first, last}:  # neighbours share the pages where they meet
            fresh += not self._shared[page]
            self._shared[page] += 1
        self.there[record] = True
        return fresh * PAGE

    def drop(self, fd: int, record: int) -> int:
        """Give a record's pages back, but for those that its neighbours need; how many bytes. Raises OSError."""
        first, last = self._pages(record)
        for page in {first, last}:
            self._shared[page] -= 1
        begin, end = first + bool(self._shared[first]), last + 1 - bool(self._shared[last])
        self._shared = +self._shared if len(self._shared) > 1 << 16 else self._shared
        self.there[record] = False
        if end <= begin:
            return 0
        punch(fd, begin * PAGE, end * PAGE)
        return (end - begin) * PAGE

    def left_behind(self, fd: int) -> list[int]:
        """The records that an earlier run may have left in the file: those without a hole in it."""
        found: list[int] = []
        at = 0
        while True:
            try:
                begin = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                return found
            at = os.lseek(fd, begin, os.SEEK_HOLE)
            first, last = np.searchsorted(self.bounds, begin), np.searchsorted(self.bounds, at, side="right") - 1
            found += range(int(first), int(last))

    def _pages(self, record: int) -> tuple[int, int]:
        begin, end = self.span(record)
        return begin // PAGE, (end - 1) // PAGE
