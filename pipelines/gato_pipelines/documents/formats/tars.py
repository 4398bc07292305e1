"""What a tar archive holds, and where: nothing is ever extracted."""

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from gato_data.errors import EpisodeError
from gato_data.files import is_inside
from gato_pipelines.files.find import normal_path
from gato_pipelines.files.streams import is_compressed, open_stream, plain_name

MAX_NAME_BYTES = 1 << 20
"""Bytes of one extended header: names are short, whatever a damaged or hostile archive claims."""
_SHORT = (".tgz", ".txz", ".tbz2")


@dataclass(frozen=True, slots=True)
class Tar:
    """An open archive.

    Attributes:
        handle: of the file itself, or of a temporary one that it was unpacked into.
        damage: why no more of it could be unpacked; empty where it is whole.
    """

    handle: int
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: as it is written there, but for what means nothing, such as "./" at its beginning.
        offset: of its bytes in the file.
        size: in bytes.
        reason: why it must not be read; empty for a plain file.
    """

    name: str
    offset: int
    size: int
    reason: str = ""


class _Headers(io.FileIO):
    """A file of which nothing large is read: members are passed over by seeking."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= MAX_NAME_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return super().read(size) or b""


def is_tar(name: str) -> bool:
    """Whether a file of that name is a tar archive, compressed or not."""
    lower = name.lower()
    if is_compressed(lower) and not lower.endswith(".zip"):
        return plain_name(lower).endswith(".tar") or lower.endswith(_SHORT)
    return lower.endswith(".tar")


def open_tar(path: Path) -> Tar:
    """Open an archive; a compressed one is unpacked, as far as it can be, into a file that goes when it is closed.

    Raises:
        OSError: it cannot be read.
    """
    if not is_compressed(path.name):
        return Tar(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    damage = ""
    with TemporaryFile() as file:
        try:
            with open_stream(path) as stream:
                while block := stream.read(1 << 20):
                    file.write(block)
        except EpisodeError as error:
            damage = str(error)
        file.flush()
        return Tar(os.dup(file.fileno()), damage)


@contextmanager
def opened_tar(path: Path) -> Iterator[Tar]:
    """An archive that is open while the body runs."""
    tar = open_tar(path)
    try:
        yield tar
    finally:
        os.close(tar.handle)


def tar_members(tar: Tar) -> Iterator[Member]:
    """The files of an archive, in its order; folders are passed over. Archives that follow each other are one.

    Raises:
        tarfile.TarError: the archive is damaged or no archive; every member before the damage has
            been given.
        OSError: it cannot be read.
    """
    start: int | None = 0
    with _Headers(tar.handle, closefd=False) as file:
        while start is not None:
            file.seek(start)
            with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="replace") as archive:
                while (entry := archive.next()) is not None:
                    archive.members = []  # type: ignore[attr-defined]  # or it would remember every one of them
                    if not entry.isdir():
                        name = normal_path(entry.name)
                        yield Member(name, entry.offset_data, entry.size, _refusal(entry, name))
                start = _next_archive(file, archive.offset)
    if tar.damage:
        raise tarfile.ReadError(tar.damage)


def _next_archive(file: _Headers, end: int) -> int | None:
    """Where the next archive of a file begins behind the zeros that end one; None where nothing follows.

    Raises:
        tarfile.TarError: it was no end; tarfile takes anything for it that is no header.
    """
    file.seek(end)
    if any(file.read(tarfile.BLOCKSIZE)):
        raise tarfile.ReadError(f"a damaged header at byte {end}")
    at = end + tarfile.BLOCKSIZE
    while block := file.read(MAX_NAME_BYTES):
        if rest := block.lstrip(b"\0"):
            return at + (len(block) - len(rest)) // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE
        at += len(block)
    return None


def _refusal(entry: tarfile.TarInfo, name: str) -> str:
    if entry.issym() or entry.islnk():
        return "a link in the archive is not followed"
    if not entry.isreg() or entry.sparse is not None:
        return "the archive holds something that is not a plain file"
    return "" if is_inside(name) else "the name leads out of the archive"
