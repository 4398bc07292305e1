"""Compressed bytes, unpacked up to the very byte where a file is damaged."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO, Protocol

from gato_data.errors import MissingPackageError

SUFFIXES = {
    ".gz": "gzip",
    ".tgz": "gzip",
    ".zst": "zstd",
    ".xz": "xz",
    ".txz": "xz",
    ".bz2": "bzip2",
    ".tbz2": "bzip2",
}
"""How files of a suffix are compressed."""
WINDOW_MIB = 128
"""MiB of what was unpacked before that a file may want to look back at:
those of `zstd -19` and `xz -9`."""
MAX_WINDOW_MIB = 2048
"""What zstd looks back at most."""
_STEP = 64
"""Bytes unpacked at once: even those of a bomb fit into memory."""
_MAX_PADDING = 1 << 20
"""Zeros behind the last member that fill up a block of a tape or disk; more of them are something
that is missing."""


class DamageError(Exception):
    """Compressed bytes that are cut off, or are none."""


class WindowError(Exception):
    """What was unpacked before would have to be kept further back than is permitted."""


class _Unpacker(Protocol):
    """One gzip member, zstd frame, xz or bzip2 stream: several may follow each other in a file."""

    @property
    def eof(self) -> bool:
        """Whether it ended."""

    @property
    def unused_data(self) -> bytes:
        """What came behind its end."""

    def decompress(self, data: bytes, /) -> bytes:
        """What so many more bytes become."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A way to compress: how a member begins, and what is raised where it is damaged."""

    begin: Callable[[], _Unpacker]
    fault: type[Exception]


def codec_of(name: str, window: int) -> Codec:
    """The codec of a file of that name; `window` is in MiB.

    Raises:
        MissingPackageError: zstandard is not installed.
    """
    how = next(codec for suffix, codec in SUFFIXES.items() if name.lower().endswith(suffix))
    if how == "gzip":
        return Codec(lambda: zlib.decompressobj(31), zlib.error)
    if how == "bzip2":
        return Codec(bz2.BZ2Decompressor, OSError)
    if how == "xz":
        limit = (window + 1) << 20  # and what the decoder itself takes
        return Codec(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limit), lzma.LZMAError)
    try:
        import zstandard
    except ImportError as error:
        raise MissingPackageError('.zst files need zstandard: pip install "gato-data[ingest]"') from error
    decoder = zstandard.ZstdDecompressor(max_window_size=window << 20)
    return Codec(decoder.decompressobj, zstandard.ZstdError)


def unpack(file: BinaryIO, codec: Codec) -> Iterator[bytes]:
    """The unpacked bytes of all members of a file, from where it stands.

    Raises:
        DamageError: it is damaged; everything before that byte has been given.
        WindowError: it wants to look back further than the codec permits.
    """
    start, whole, given = file.tell(), 0, 0

    def steps() -> Iterator[bytes]:
        nonlocal whole
        while step := file.read(_STEP):
            yield step
            whole += 1

    try:
        for block in _members(steps(), codec):
            yield block
            given += len(block)
        return
    except codec.fault as error:
        if getattr(error, "errno", None) is not None:
            raise
        reason = _reason(error)
    # The step that failed may have begun well: go there again, and through it byte by byte.
    file.seek(start)
    before = (file.read(_STEP) for _ in range(whole))
    try:
        for block in _members(chain(before, iter(lambda: file.read(1), b"")), codec):
            yield block[given:]
            given = max(given - len(block), 0)
    except codec.fault as error:
        raise DamageError(reason) from error


def _members(steps: Iterable[bytes], codec: Codec) -> Iterator[bytes]:
    member: _Unpacker | None = codec.begin()
    padding = 0
    for step in steps:
        rest = step
        while rest:
            if member is None:
                padding += len(rest)
                rest = rest.lstrip(b"\0")
                padding -= len(rest)
                if padding > _MAX_PADDING:
                    raise DamageError("it goes on with zeros")
                if not rest:
                    break
                member = codec.begin()
            yield member.decompress(rest)
            rest = b""
            if member.eof:
                rest, member, padding = member.unused_data, None, 0
    if member is not None:
        raise DamageError("it is cut off")


def _reason(error: Exception) -> str:
    """What a library says of damage, in a few words.

    Raises:
        WindowError: it is no damage.
    """
    text = str(error).rpartition(": ")[2]
    if "memory" in text.lower():
        raise WindowError from error
    return f"{text}; the damage may begin before"
