"""Members of compressed tar archives, one after the other as they are unpacked; nothing is extracted."""

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gato_data.errors import EpisodeError
from gato_pipelines.documents.formats.tars import MAX_NAME_BYTES
from gato_pipelines.documents.texts.records import TextRecord
from gato_pipelines.files.passed_over import PassedOver
from gato_pipelines.files.streams import Readable, open_stream
from gato_pipelines.files.unpacking import WINDOW_MIB

_BLOCK = tarfile.BLOCKSIZE
_LONG_NAME, _PAX = (tarfile.GNUTYPE_LONGNAME,), (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_PASSED = (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE)


@dataclass(slots=True)
class ArchivedFile:
    """A member of an archive, to be read before the next one is asked for.

    Attributes:
        name: as it is written there.
        is_file: whether it is a plain file: no link, no device.
        damaged: whether reading it came to where the archive is damaged.
    """

    name: str
    is_file: bool
    _stream: Readable
    _left: int
    damaged: bool = False

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end.

        Raises:
            EpisodeError: the archive ends before the member.
        """
        try:
            data = self._stream.read(min(size, self._left))
            if self._left and not data:
                raise _damage("it is cut off")
        except EpisodeError:
            self.damaged = True
            raise
        self._left -= len(data)
        return data


ReadMember: TypeAlias = Callable[[ArchivedFile], Iterator[TextRecord] | None]
"""Gives the texts of a member, None where it is passed over."""


def read_archive(path: Path, read: ReadMember, passed: PassedOver, window: int = WINDOW_MIB) -> Iterator[TextRecord]:
    """The texts in the members of an archive, in their order; damage is one record with a reason.

    Args:
        path: the archive.
        read: gives the texts of a member, None where it is passed over.
        passed: counts those.
        window: as for `open_stream`.
    """
    last = "beginning"
    try:
        with open_stream(path, window=window) as stream:
            for file in archived_files(stream):
                last = f"behind {file.name}"
                found = read(file) if file.is_file else None
                if found is None:
                    passed.add(file.name)
                else:
                    yield from found
    except EpisodeError as error:
        yield TextRecord(last, None, str(error))


def archived_files(stream: Readable) -> Iterator[ArchivedFile]:
    """The members of an archive that are no folders; of archives that follow each other, those of all.

    Raises:
        EpisodeError: the archive is damaged from here on.
    """
    name, size = "", None
    while block := _exactly(stream, _BLOCK):
        if not any(block):
            continue
        try:
            entry = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
        except tarfile.HeaderError as error:
            raise _damage(str(error)) from error
        if entry.type in (*_LONG_NAME, *_PAX, *_PASSED):
            payload = _payload(stream, entry.size)
            if entry.type in _LONG_NAME:
                name = payload.rstrip(b"\0").decode(errors="replace")
            elif entry.type in _PAX:
                pax = dict(_pax_records(payload))
                name, size = pax.get("path", name), _number(pax.get("size"))
            continue
        if entry.type == tarfile.GNUTYPE_SPARSE or entry.size < 0:
            raise _damage("a sparse file stands in it")
        has_data = entry.isreg() or entry.type not in tarfile.SUPPORTED_TYPES
        stored = (entry.size if size is None else size) if has_data else 0
        member = ArchivedFile(name or entry.name, entry.isreg(), stream, stored)
        if not entry.isdir():
            yield member
        if member.damaged:
            return
        while member.read(1 << 16):
            pass
        _exactly(stream, -stored % _BLOCK)
        name, size = "", None


def _exactly(stream: Readable, size: int) -> bytes:
    """So many bytes, or none at the end."""
    data = b""
    while len(data) < size and (block := stream.read(size - len(data))):
        data += block
    if data and len(data) < size:
        raise _damage("it is cut off")
    return data


def _payload(stream: Readable, size: int) -> bytes:
    """What an extended header holds: names are short, whatever a damaged or hostile archive claims."""
    if not 0 <= size <= MAX_NAME_BYTES:
        raise _damage(f"a header of {size} bytes")
    return _exactly(stream, size + -size % _BLOCK)[:size]


def _pax_records(payload: bytes) -> Iterator[tuple[str, str]]:
    """Keys and values of lines such as `30 path=a/long/name.txt`, whose number is the length of the line."""
    while payload:
        digits = payload.split(b" ", 1)[0]
        length = int(digits) if digits.isdigit() and len(digits) < 9 else 0
        if length <= len(digits) + 1:
            raise _damage("an extended header is damaged")
        key, _, value = payload[len(digits) + 1 : length - 1].partition(b"=")
        yield key.decode(errors="replace"), value.decode(errors="replace")
        payload = payload[length:]


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdigit() or len(text) > 18:
        raise _damage("an extended header is damaged")
    return int(text)


def _damage(what: str) -> EpisodeError:
    return EpisodeError(f"the rest of the archive cannot be read ({what})", stage="read")
