"""A shard at an address, opened like one of this machine."""

from pathlib import Path

from gato_data.remote.mirror import DatasetMirror
from gato_data.remote.record_cache import open_cache
from gato_data.shards.file import ShardFile


class RemoteShard(ShardFile):
    """Reads through the cache of this process; every record is compared with its checksum when it is fetched.

    Raises:
        FormatError: its index is missing or damaged.
    """

    __slots__ = ("_cache", "_number")

    def __init__(self, path: Path, mirror: DatasetMirror) -> None:
        self._cache = open_cache(mirror.cache)
        self._number = self._cache.number(path)
        self.size = self._cache.size(self._number)
        self.mapped = None

    def read(self, offset: int, size: int) -> bytes:
        """Bytes [offset, offset + size) as far as the file has them; raises InputError."""
        data = bytearray(max(0, min(size, self.size - offset)))
        return bytes(data[: self.fill(offset, memoryview(data))])

    def fill(self, offset: int, view: memoryview) -> int:
        """Fill `view` from `offset` on; returns how many bytes there were. Raises InputError."""
        return self._cache.read(self._number, offset, view)

    def map(self) -> None:
        """Nothing is mapped: what is not there would read as zeros."""

    def whole_map(self) -> None:
        """No map."""

    def is_cached(self, offset: int) -> bool:
        """True: what is needed is fetched by `ahead.py`, and not by the kernel."""
        return True

    def advise_random(self) -> None:
        """Nothing to tell the kernel."""
