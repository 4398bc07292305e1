"""TFRecord framing: uint64 length, masked CRC32C of the length, data, masked CRC32C of the data, little-endian."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

import google_crc32c
import numpy as np

from gato_schemas.errors import FormatError
from gato_schemas.regular_file import check_regular

HEADER_BYTES = 12
FOOTER_BYTES = 4
MAX_RECORD_BYTES = 2**31 - 1
"""Protocol buffers stop at 2 GiB, so a longer length can only be damage."""

_MASK_DELTA = 0xA282EAD8
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
LFS_MAGIC = b"version https://git-lfs"
_GZIP_MAGIC = b"\x1f\x8b"

Bytes: TypeAlias = bytes | bytearray | memoryview


def crc32c(data: Bytes, before: int = 0) -> int:
    """CRC32C of bytes, perhaps behind others whose CRC32C is `before`."""
    crc: int = google_crc32c.extend(before, data if isinstance(data, bytes) else np.frombuffer(data, np.uint8))
    return crc


def masked(crc: int) -> int:
    """A CRC32C rotated right by 15 bits plus a constant, as TFRecord stores it."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def masked_crc32c(data: Bytes) -> int:
    """The checksum of bytes as TFRecord stores it."""
    return masked(crc32c(data))


def frame(data: Bytes, crc: int | None = None) -> tuple[bytes, bytes]:
    """Header and footer that enclose one record's data; `crc` is its masked CRC32C where that is known."""
    return frame_of(len(data), masked_crc32c(data) if crc is None else crc)


def frame_of(size: int, crc: int) -> tuple[bytes, bytes]:
    """Header and footer that enclose `size` bytes of data with this masked CRC32C."""
    length = _LENGTH.pack(size)
    return length + _CRC.pack(masked_crc32c(length)), _CRC.pack(crc)


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record of a TFRecord file.

    Attributes:
        ordinal: 0-based number of the record in the file.
        offset: of the record's data in the file, in bytes.
        data: the payload; damaged where `error` is set.
        error: None, or what is wrong with the data (the records after it can still be read).
    """

    ordinal: int
    offset: int
    data: bytes
    error: str | None = None


class TFRecordError(FormatError):
    """Reading ends here: no record from number `ordinal` on can be found."""

    def __init__(self, message: str, ordinal: int = 0) -> None:
        super().__init__(message)
        self.ordinal = ordinal


def read_records(path: Path, first: int = 0, count: int | None = None) -> Iterator[RawRecord]:
    """Yield records [first, first + count) of a TFRecord file in order, with bounded memory.

    A record whose data fails its checksum is yielded with `error` set, and reading goes on after it.

    Raises:
        TFRecordError: the file is no TFRecord file, is truncated, or a record's length is damaged. Every
            whole record before that place has been yielded.
        OSError: the file cannot be opened.
    """
    check_regular(path)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for ordinal in range(first + count) if count is not None else _count_up():
            length = _read_header(file, path, ordinal, size)
            if length is None:
                if count is not None:
                    raise TFRecordError(f"{path.name} ends after {ordinal} of {first + count} records", ordinal)
                return
            offset = file.tell()
            if ordinal < first:
                file.seek(length + FOOTER_BYTES, os.SEEK_CUR)
                continue
            data = file.read(length)
            footer = file.read(FOOTER_BYTES)
            if len(data) < length or len(footer) < FOOTER_BYTES:
                raise TFRecordError(f"{path.name} became shorter while record {ordinal} was read", ordinal)
            error = None
            if _CRC.unpack(footer)[0] != masked_crc32c(data):
                error = f"record {ordinal} of {path.name} (byte {offset}) does not match its checksum"
            yield RawRecord(ordinal, offset, data, error)


def count_records(path: Path) -> int:
    """How many records a TFRecord file holds; their data is stepped over.

    Raises:
        TFRecordError: the file is no TFRecord file, is truncated, or a record's length is damaged.
        OSError: the file cannot be opened.
    """
    count = 0
    check_regular(path)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while (length := _read_header(file, path, count, size)) is not None:
            file.seek(length + FOOTER_BYTES, os.SEEK_CUR)
            count += 1
    return count


def _count_up() -> Iterator[int]:
    ordinal = 0
    while True:
        yield ordinal
        ordinal += 1


def _read_header(file: BinaryIO, path: Path, ordinal: int, size: int) -> int | None:
    """Length of the next record's data; None at the end of the file."""
    offset = file.tell()
    header = file.read(HEADER_BYTES)
    if not header:
        return None
    if ordinal == 0:
        refuse_foreign(header, path)
    if len(header) < HEADER_BYTES:
        raise TFRecordError(f"{path.name} is truncated in the header of record {ordinal} (byte {offset})", ordinal)
    length = int(_LENGTH.unpack_from(header)[0])
    if _CRC.unpack_from(header, 8)[0] != masked_crc32c(header[:8]) or length > MAX_RECORD_BYTES:
        what = "is not a TFRecord file" if ordinal == 0 else f"has a damaged length at record {ordinal}"
        raise TFRecordError(f"{path.name} {what} (byte {offset})", ordinal)
    if offset + HEADER_BYTES + length + FOOTER_BYTES > size:
        raise TFRecordError(f"{path.name} is truncated inside record {ordinal} (byte {offset})", ordinal)
    return length


def refuse_foreign(head: bytes, path: Path) -> None:
    """Name the well-known files that are found where a TFRecord was wanted.

    Args:
        head: the first bytes of the file; what begins with a record's own header is let through.
        path: in the error.

    Raises:
        TFRecordError: the file begins like a Git-LFS pointer or a gzip file.
    """
    if len(head) >= HEADER_BYTES and _CRC.unpack_from(head, 8)[0] == masked_crc32c(head[:8]):
        return  # a first record of 35615 bytes begins like gzip
    if head.startswith(LFS_MAGIC[: len(head)]) and len(head) >= HEADER_BYTES:
        raise TFRecordError(
            f"{path.name} is a Git-LFS pointer, not the shard itself: run `git lfs pull` in its repository"
        )
    if head.startswith(_GZIP_MAGIC):
        raise TFRecordError(f"{path.name} is gzip-compressed: an uncompressed TFRecord file is wanted")
