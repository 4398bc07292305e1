"""What a tar archive holds, and where: nothing is ever extracted."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gato_pipelines.documents.files import is_inside

MAX_NAME_BYTES = 1 << 20
"""Bytes of one extended header: names are short, whatever a damaged or hostile archive claims."""


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: as it is written there.
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


def tar_members(path: Path) -> Iterator[Member]:
    """The files of an uncompressed tar archive, in its order; folders are passed over.

    Raises:
        tarfile.TarError: the archive is damaged or no archive; every member before the damage has been given.
        OSError: it cannot be read.
    """
    with _Headers(path) as file, tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="replace") as archive:
        while (entry := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # or it would remember every one of them
            if not entry.isdir():
                yield Member(entry.name, entry.offset_data, entry.size, _refusal(entry))
        file.seek(archive.offset)
        if any(file.read(tarfile.BLOCKSIZE)):  # an archive ends with zeros; tarfile takes anything else for its end too
            raise tarfile.ReadError(f"a damaged header at byte {archive.offset}")


def _refusal(entry: tarfile.TarInfo) -> str:
    if entry.issym() or entry.islnk():
        return "a link in the archive is not followed"
    if not entry.isreg() or entry.sparse is not None:
        return "the archive holds something that is not a plain file"
    return "" if is_inside(entry.name) else "the name leads out of the archive"
