"""Pieces of a large file between separators, in byte ranges that many workers can share.

A piece belongs to the range in which it starts, so ranges that cover a file give every piece once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gato_data.errors import EpisodeError
from gato_pipelines.files.streams import Readable, open_stream
from gato_pipelines.files.unpacking import WINDOW_MIB

MAX_PIECE_BYTES = 1 << 26
"""Bytes of one document: a longer one is passed over, and never held in memory. SentencePiece takes up to 42 times as
much for a text, so this also bounds the memory of a worker."""
TOO_LONG = f"the document is longer than {MAX_PIECE_BYTES >> 20} MiB"
_BLOCK = 1 << 20


class Piece(NamedTuple):
    """What lies between two separators.

    Attributes:
        start: its first byte in the (uncompressed) file.
        data: its bytes; None where it cannot be read.
        reason: why not: it is longer than `MAX_PIECE_BYTES`, or the file is damaged from here on.
    """

    start: int
    data: bytes | None
    reason: str = ""


def read_pieces(
    path: Path, separator: bytes = b"\n", first: int = 0, size: int | None = None, window: int = WINDOW_MIB
) -> Iterator[Piece]:
    """The pieces of a file that start in [first, first + size), in order; if it is damaged, the last says so.

    Args:
        path: plain or compressed; only a plain file can be read from its middle.
        separator: at least one byte; it belongs to no piece.
        first: a byte of the file.
        size: bytes of the range; None is all the rest.
        window: MiB that a compressed file may look back at.

    Raises:
        InputError: it looks back further.
        OSError: it cannot be read.
    """
    start = max(first - len(separator), 0)  # a separator may end just where the range begins
    with open_stream(path, start, window) as file:
        pieces = split_pieces(file, separator, start)
        if first:
            next(pieces, None)
        for piece in pieces:
            if size is not None and piece.start >= first + size:
                return
            yield piece


def split_pieces(file: Readable, separator: bytes = b"\n", start: int = 0) -> Iterator[Piece]:
    """All pieces from here on; `start` is the offset of the first."""
    tail, lost = b"", 0  # the beginning of the next piece, and how many bytes of it are gone already
    while True:
        try:
            block = file.read(max(_BLOCK, min(len(tail), MAX_PIECE_BYTES - len(tail))))
        except EpisodeError as error:
            yield Piece(start, None, str(error))
            return
        if not block:
            break
        *whole, tail = (tail + block).split(separator)
        for data in whole:
            yield _piece(start, None if lost else data)
            start += lost + len(data) + len(separator)
            lost = 0
        if lost or len(tail) > MAX_PIECE_BYTES:
            keep = min(len(separator) - 1, len(tail))
            lost += len(tail) - keep
            tail = tail[len(tail) - keep :]
    if tail or lost:
        yield _piece(start, None if lost else tail)


def _piece(start: int, data: bytes | None) -> Piece:
    if data is None or len(data) > MAX_PIECE_BYTES:
        return Piece(start, None, TOO_LONG)
    return Piece(start, data)
