"""Passages of a large file between separators, in byte ranges that many workers can share.

A passage belongs to the range in which it starts, so ranges that cover a file give every passage
once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gato_data.errors import EpisodeError
from gato_pipelines.files.streams import Readable, open_stream
from gato_pipelines.files.unpacking import WINDOW_MIB

MAX_PASSAGE_BYTES = 1 << 26
"""Bytes of one document: a longer one is passed over, and never held in memory. SentencePiece takes up to 42 times as
much for a text, so this also bounds the memory of a worker."""
TOO_LONG = f"the document is longer than {MAX_PASSAGE_BYTES >> 20} MiB"
_BLOCK = 1 << 20


class Passage(NamedTuple):
    """What lies between two separators.

    Attributes:
        start: its first byte in the (uncompressed) file.
        data: its bytes; None where it cannot be read.
        reason: why not: it is longer than `MAX_PASSAGE_BYTES`, or the file is damaged from here on.
    """

    start: int
    data: bytes | None
    reason: str = ""


def read_passages(
    path: Path, separator: bytes = b"\n", first: int = 0, size: int | None = None, window: int = WINDOW_MIB
) -> Iterator[Passage]:
    """The passages of a file that start in [first, first + size), in order; if it is damaged, the last says so.

    Args:
        path: plain or compressed; only a plain file can be read from its middle.
        separator: at least one byte; it belongs to no passage.
        first: a byte of the file.
        size: bytes of the range; None is all the rest.
        window: MiB that a compressed file may look back at.

    Raises:
        InputError: it looks back further.
        OSError: it cannot be read.
    """
    start = max(first - len(separator), 0)  # a separator may end just where the range begins
    with open_stream(path, start, window) as file:
        passages = split_passages(file, separator, start)
        if first:
            next(passages, None)
        for passage in passages:
            if size is not None and passage.start >= first + size:
                return
            yield passage


def split_passages(file: Readable, separator: bytes = b"\n", start: int = 0) -> Iterator[Passage]:
    """All passages from here on; `start` is the offset of the first."""
    # the beginning of the next passage, and how many bytes of it are gone already
    tail, lost = b"", 0
    while True:
        try:
            block = file.read(max(_BLOCK, min(len(tail), MAX_PASSAGE_BYTES - len(tail))))
        except EpisodeError as error:
            yield Passage(start, None, str(error))
            return
        if not block:
            break
        *whole, tail = (tail + block).split(separator)
        for data in whole:
            yield _passage(start, None if lost else data)
            start += lost + len(data) + len(separator)
            lost = 0
        if lost or len(tail) > MAX_PASSAGE_BYTES:
            keep = min(len(separator) - 1, len(tail))
            lost += len(tail) - keep
            tail = tail[len(tail) - keep :]
    if tail or lost:
        yield _passage(start, None if lost else tail)


def _passage(start: int, data: bytes | None) -> Passage:
    if data is None or len(data) > MAX_PASSAGE_BYTES:
        return Passage(start, None, TOO_LONG)
    return Passage(start, data)
