"""A shard region by region, damaged or not: after damage, the next place where a record begins is searched for."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gato_schemas.index import ShardIndex
from gato_schemas.tfrecord import FOOTER_BYTES, HEADER_BYTES, MAX_RECORD_BYTES, frame, masked_crc32c

_SEARCHED_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Region:
    """One record with its frame, or bytes in which no record can be found.

    Attributes:
        number: of records before it in this file.
        start, end: where it lies in the file, its frame included.
        data: the record's data; None where there is no record.
        error: what is wrong with it; empty where its frame and its checksums are right.
        whole: whether the data is known to be undamaged; with an error, only the frame around it is damaged.
        crc: masked CRC32C of the data.
    """

    number: int
    start: int
    end: int
    data: bytes | None
    error: str = ""
    whole: bool = True
    crc: int = 0

    @property
    def written(self) -> tuple[bytes, ...]:
        """The bytes of the record in a frame that is right; none where there is no record."""
        if self.data is None:
            return ()
        header, footer = frame(self.data, self.crc)
        return header, self.data, footer


def regions(path: Path, index: ShardIndex | None) -> Iterator[Region]:
    """Yield all bytes of a shard in order, a record at a time.

    Args:
        path: the shard.
        index: its index where there is one: it knows where records lie behind a damaged frame.

    Raises:
        OSError: the file cannot be read.
    """
    known = _Known(index)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        at = number = 0
        while at < size:
            region = _record(file, at, size, number, known)
            if region is None:
                end = _next_start(file, at + 1, size, known)
                region = Region(number, at, end, None, _describe_gap(at, end, size), whole=False)
            else:
                number += 1
            yield region
            at = region.end


class _Known:
    """What an index says of the records of its shard."""

    def __init__(self, index: ShardIndex | None) -> None:
        self.offset = np.zeros(0, np.uint64) if index is None else index.offset
        if bool((self.offset[1:] <= self.offset[:-1]).any()):
            self.offset = self.offset[:0]  # an index may claim anything
        self._index = index

    def at(self, offset: int) -> tuple[int, int] | None:
        """Length and checksum of the record whose data lies at an offset."""
        number = int(np.searchsorted(self.offset, np.uint64(offset)))
        if self._index is None or number >= len(self.offset) or int(self.offset[number]) != offset:
            return None
        return int(self._index.length[number]), int(self._index.crc[number])

    def after(self, start: int) -> int | None:
        """Where the frame of the first record that begins at or after `start` begins."""
        number = int(np.searchsorted(self.offset, np.uint64(start + HEADER_BYTES)))
        return int(self.offset[number]) - HEADER_BYTES if number < len(self.offset) else None


def _record(file: BinaryIO, at: int, size: int, number: int, known: _Known) -> Region | None:
    file.seek(at)
    header = file.read(HEADER_BYTES)
    told = known.at(at + HEADER_BYTES)
    length = _length(header)
    if length is None or at + HEADER_BYTES + length + FOOTER_BYTES > size:
        return _behind_damaged_header(file, at, size, number, told)
    data, footer = file.read(length), file.read(FOOTER_BYTES)
    end = at + HEADER_BYTES + length + FOOTER_BYTES
    checksum = masked_crc32c(data)
    if int.from_bytes(footer, "little") == checksum:
        return Region(number, at, end, data, crc=checksum)
    if told == (length, checksum):
        return Region(
            number, at, end, data, "the checksum behind the record is damaged, the record is not", crc=checksum
        )
    return Region(number, at, end, data, "the record does not match its checksum", whole=False)


def _behind_damaged_header(
    file: BinaryIO, at: int, size: int, number: int, told: tuple[int, int] | None
) -> Region | None:
    """The record that the index knows here, if its data is whole."""
    if told is None or at + HEADER_BYTES + told[0] + FOOTER_BYTES > size:
        return None
    file.seek(at + HEADER_BYTES)
    data = file.read(told[0])
    if masked_crc32c(data) != told[1]:
        return None
    end = at + HEADER_BYTES + told[0] + FOOTER_BYTES
    return Region(number, at, end, data, "the length before the record is damaged, the record is not", crc=told[1])


def _length(header: bytes) -> int | None:
    """The length in a frame's header, None where it does not match its checksum."""
    if len(header) < HEADER_BYTES or int.from_bytes(header[8:], "little") != masked_crc32c(header[:8]):
        return None
    length = int.from_bytes(header[:8], "little")
    return length if length <= MAX_RECORD_BYTES else None


def _next_start(file: BinaryIO, start: int, size: int, known: _Known) -> int:
    """Where the next frame begins, at `start` or later; the end of the file where there is none.

    A length is below 4 GiB, so a frame has four zero bytes in its middle: few other places have to be looked at.
    """
    told = known.after(start)
    while start < size:
        file.seek(start)
        block = file.read(_SEARCHED_BYTES + HEADER_BYTES)
        zeros = block.find(bytes(4), 4)
        while zeros >= 0:
            place = zeros - 4
            length = _length(block[place : place + HEADER_BYTES]) if place < _SEARCHED_BYTES else None
            if length is not None and start + place + HEADER_BYTES + length + FOOTER_BYTES <= size:
                found = start + place
                return found if told is None or told >= size else min(found, told)
            zeros = block.find(bytes(4), zeros + 1)
        start += _SEARCHED_BYTES
        if told is not None and told < start:
            break
    return size if told is None else min(told, size)


def _describe_gap(start: int, end: int, size: int) -> str:
    if end == size:
        return f"the last {end - start} bytes are no whole record: the shard is truncated, or something was appended"
    return f"{end - start} bytes are no record"
