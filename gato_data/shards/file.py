"""One open shard: positioned reads, perhaps a map into memory, and how many of them the system allows."""

import mmap
import os
import resource
from pathlib import Path

from gato_data.remote.mirror import mirror_of
from gato_schemas.regular_file import check_regular
from gato_schemas.tfrecord import refuse_foreign

_OTHER_DESCRIPTORS = 256
"""Descriptors left to the rest of the program."""
_HEAD_BYTES = 64


class ShardFile:
    """A shard that closes when the last reader lets go of it.

    Args:
        path: of the shard.

    Attributes:
        fd: its descriptor.
        size: its bytes when it was opened.
        mapped: its bytes, or None where it is not mapped.

    Raises:
        FormatError: the file begins like a Git-LFS pointer or a gzip file.
        OSError: it cannot be opened, or is a pipe or a device.
    """

    __slots__ = ("fd", "mapped", "size")

    def __init__(self, path: Path) -> None:
        check_regular(path)
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self.fd).st_size
        self.mapped: memoryview | None = None
        refuse_foreign(self.read(0, _HEAD_BYTES), path)

    def read(self, offset: int, size: int) -> bytes:
        """Bytes [offset, offset + size) as far as the file has them; raises OSError."""
        return os.pread(self.fd, size, offset)

    def fill(self, offset: int, view: memoryview) -> int:
        """Fill `view` from `offset` on; returns how many bytes there were. Raises OSError."""
        done = os.preadv(self.fd, (view,), offset)
        while done < len(view) and (more := os.preadv(self.fd, (view[done:],), offset + done)):
            done += more
        return done

    def is_cached(self, offset: int) -> bool:
        """Whether a byte can be read without waiting for a disk."""
        try:
            return os.preadv(self.fd, (bytearray(1),), offset, os.RWF_NOWAIT) == 1
        except OSError:  # it would have to wait, or the file system cannot tell
            return False

    def advise_random(self) -> None:
        """Tell the kernel that reads come at random places."""
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_RANDOM)

    def map(self) -> None:
        """Map the file, to be read at random places; raises OSError."""
        if self.size:
            whole = mmap.mmap(self.fd, self.size, prot=mmap.PROT_READ)
            whole.madvise(mmap.MADV_RANDOM)
            self.mapped = memoryview(whole)

    def whole_map(self) -> memoryview | None:
        """The map; None where there is none, or the file was cut: touching a map beyond the end kills the process."""
        return self.mapped if self.mapped is not None and os.fstat(self.fd).st_size == self.size else None

    def __del__(self) -> None:
        if hasattr(self, "fd") and os is not None:  # at the end of the interpreter modules are gone first
            os.close(self.fd)


def open_shard(path: Path) -> ShardFile:
    """Open a shard, of this machine or of a mirror of what is at an address.

    Raises:
        FormatError: the file begins like a Git-LFS pointer or a gzip file.
        OSError: it cannot be opened, or is a pipe or a device.
    """
    mirror = mirror_of(path.parent)
    if mirror is None:
        return ShardFile(path)
    from gato_data.remote.shard import RemoteShard

    return RemoteShard(path, mirror)


def most_open() -> int:
    """Files that the limit on open descriptors (`ulimit -n`) has room for.

    A mapped file takes two descriptors, a run may read two splits, and the rest of the program needs some.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 if limit == resource.RLIM_INFINITY else max(16, (limit - _OTHER_DESCRIPTORS) // 4)
