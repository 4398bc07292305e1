"""One open shard, perhaps mapped into memory, and how many of them the system allows."""

import mmap
import os
import resource
from pathlib import Path

from gato_schemas.regular_file import check_regular

_OTHER_DESCRIPTORS = 256
"""Descriptors left to the rest of the program."""


class OpenFile:
    """A file that closes when the last reader lets go of it; `mapped` is its bytes, or None if it is not mapped."""

    __slots__ = ("fd", "mapped", "size")

    def __init__(self, path: Path) -> None:
        check_regular(path)
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self.fd).st_size
        self.mapped: memoryview | None = None

    def map(self) -> None:
        """Map the file, to be read at random places."""
        if self.size:
            whole = mmap.mmap(self.fd, self.size, prot=mmap.PROT_READ)
            whole.madvise(mmap.MADV_RANDOM)
            self.mapped = memoryview(whole)

    def is_whole(self) -> bool:
        """Whether the file still has the size it was opened with: touching a map beyond the end kills the process."""
        return self.mapped is not None and os.fstat(self.fd).st_size == self.size

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)


def most_open() -> int:
    """Files that the limit on open descriptors (`ulimit -n`) has room for.

    A mapped file takes two descriptors, a run may read two splits, and the rest of the program needs some.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 if limit == resource.RLIM_INFINITY else max(16, (limit - _OTHER_DESCRIPTORS) // 4)
