"""Files at addresses of which ranges come when they are read: here each is a placeholder, and is opened as what it is.

Blocks that were read last stay in the memory of this process. A read that goes on where one ended
fetches twice as much as that one, so that a long one takes few requests, and one here and there
little. Files that come whole for their own part are opened so by whoever looks into one before.
"""

import gc
import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, TypeAlias, cast

from gato_data.errors import InputError
from gato_data.remote.fetch import FetchError, fetch
from gato_data.remote.folder import RemoteFolder, RemoteObject
from gato_pipelines.files.unchanged import changed

BLOCK_BYTES = 8192
AHEAD_BYTES = 1 << 20
"""Bytes of the largest request."""
KEPT_BYTES = 1 << 26
"""Bytes of the blocks of all files that stay in memory."""
_STREAMS = 64
"""Places of a file where reads may go on."""


class _Blocks:
    """The blocks that this process read last, of all files."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._size, self._lock = 0, Lock()

    def get(self, file: str, number: int) -> bytes | None:
        """A block of a file; None where it is not here."""
        with self._lock:
            if (block := self._found.get((file, number))) is not None:
                self._found.move_to_end((file, number))
            return block

    def put(self, file: str, number: int, block: bytes) -> None:
        """Keep a block, and let go of those that were asked for longest ago."""
        with self._lock:
            self._size += len(block) - len(self._found.pop((file, number), b""))
            self._found[file, number] = block
            while self._size > KEPT_BYTES:
                self._size -= len(self._found.popitem(last=False)[1])


Find: TypeAlias = Callable[[str], tuple[str, RemoteObject] | None]
"""What a file is called there, and what it was when it was listed, by its placeholder's name; None for any other."""

_blocks = _Blocks()
_roots: dict[str, tuple[RemoteFolder, Find]] = {}
"""The folders of placeholders that this process knows, by their real paths, until `forget_ranged`."""
_whole: Counter[str] = Counter()
"""How many readers in this process have a file whole, by its real path."""
_guard = Lock()


def know_ranged(root: Path, remote: RemoteFolder, find: Find) -> None:
    """Let this process open the placeholders in a folder of this machine as the files that they stand for."""
    _roots[os.path.realpath(root)] = remote, find


def knows_ranged(root: Path) -> bool:
    """Whether this process knows the placeholders in a folder."""
    return os.path.realpath(root) in _roots


def forget_ranged(folder: Path) -> None:
    """Let go of all that is below a folder."""
    real = Path(os.path.realpath(folder))
    for root in [root for root in list(_roots) if Path(root).is_relative_to(real)]:
        _roots.pop(root, None)


@contextmanager
def have_whole(paths: Sequence[Path]) -> Iterator[None]:
    """Open these as files of this machine while the body runs: the caller sees to it that they are."""
    real = [os.path.realpath(path) for path in paths]
    with _guard:
        _whole.update(real)
    try:
        yield
    finally:
        with _guard:
            _whole.subtract(real)
            for path in real:
                if not _whole[path]:
                    del _whole[path]


def open_input(path: Path) -> BinaryIO:
    """A file of an input, to be read: one of this machine, or that which a placeholder stands for.

    Raises:
        OSError: it cannot be opened.
    """
    return cast(BinaryIO, ranged_file(path) or path.open("rb"))


def ranged_file(path: Path) -> "RangedFile | None":
    """What a placeholder stands for; None where the path is no placeholder of such a file."""
    if not _roots:
        return None
    real = os.path.realpath(path)
    for root in Path(real).parents:
        if (known := _roots.get(str(root))) is not None:
            remote, find = known
            found = None if _whole[real] else find(Path(real).relative_to(root).as_posix())
            return None if found is None else RangedFile(path, remote, *found)
    return None


class RangedFile(RawIOBase):
    """A file at an address, read block by block.

    Reading raises FetchError where a block does not come after several attempts, or the file is another one by now.

    Args:
        path: the placeholder.
        remote, name: where the file is.
        known: what it was when it was listed.
    """

    def __init__(self, path: Path, remote: RemoteFolder, name: str, known: RemoteObject) -> None:
        super().__init__()
        self._key, self._path = os.path.realpath(path), path
        self._remote, self._there, self._known = remote, name, known
        self._at = 0
        self._ends: OrderedDict[int, int] = OrderedDict()  # blocks behind what was fetched, and how many came

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._known.size

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        """Let the next read begin somewhere else."""
        start = {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError(f"{self._path} has no byte {start + offset}")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer as far as the file goes."""
        view = memoryview(buffer).cast("B")
        start, stop = self._at, max(self._at, min(self._at + len(view), self.size))
        last = (stop - 1) // BLOCK_BYTES
        while self._at < stop:
            number, skip = divmod(self._at, BLOCK_BYTES)
            piece = self._block(number, last)[skip : skip + stop - self._at]
            view[self._at - start : self._at - start + len(piece)] = piece
            self._at += len(piece)
        return stop - start

    def _block(self, number: int, last: int) -> bytes:
        """A block, of which those up to `last` will be asked for next."""
        if (here := _blocks.get(self._key, number)) is not None:
            return here
        stop = number + min(max(last - number + 1, 2 * self._ends.pop(number, 0)), AHEAD_BYTES // BLOCK_BYTES)
        stop = min(stop, -(-self.size // BLOCK_BYTES))
        known = (other for other in range(number + 1, stop) if _blocks.get(self._key, other) is not None)
        stop = next(known, stop)
        data = self._fetch(number * BLOCK_BYTES, min(stop * BLOCK_BYTES, self.size))
        for other in range(number, stop):
            begin = (other - number) * BLOCK_BYTES
            _blocks.put(self._key, other, data[begin : begin + BLOCK_BYTES])
        self._ends[stop] = stop - number
        if len(self._ends) > _STREAMS:
            self._ends.popitem(last=False)
        return data[:BLOCK_BYTES]

    def _fetch(self, start: int, stop: int) -> bytes:
        try:
            with _without_collection():
                return fetch(self._remote, self._there, None, start, stop, lambda _: "", advice="")
        except FetchError as error:
            try:
                check_same(self._remote, self._there, self._known)
            except InputError as other:
                raise FetchError(str(other)) from error
            raise


def check_same(remote: RemoteFolder, name: str, known: RemoteObject) -> None:
    """Check that a file is what it was when it was listed.

    Raises:
        InputError: it is another one, or cannot be looked at.
    """
    now = remote.object(name, known)
    if now != known:
        raise changed(f"{remote.shown}/{name}" if name else remote.shown, known.size, now.size)


class _Collection:
    """Holds off the collection of garbage while anybody waits for a file.

    HDF5's library waits with a lock of its own held, which the end of one of its objects takes as well. Were such an
    object collected in the thread that fetches, both would wait for ever.
    """

    def __init__(self) -> None:
        self._lock, self._waiting, self._was_on = Lock(), 0, False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            self._was_on = gc.isenabled() if not self._waiting else self._was_on
            self._waiting += 1
            gc.disable()
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1
                if not self._waiting and self._was_on:
                    gc.enable()


_without_collection = _Collection()
