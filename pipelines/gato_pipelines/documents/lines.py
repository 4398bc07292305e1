"""Pieces of a large file between separators, in byte ranges that many workers can share.

A piece belongs to the range in which it starts, so ranges that cover a file give every piece once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gato_pipelines.documents.streams import Readable, open_stream

MAX_PIECE_BYTES = 1 << 26
"""Bytes of one document: a longer one is passed over, and never held in memory. SentencePiece takes up to 42 times as
much for a text, so this also bounds the memory of a worker."""
_BLOCK = 1 << 20


class Piece(NamedTuple):
    """What lies between two separators: its first byte in the (uncompressed) file, and its bytes.

    `data` is None where the piece is longer than `MAX_PIECE_BYTES`.
    """

    start: int
    data: bytes | None


def read_pieces(path: Path, separator: bytes = b"\n", first: int = 0, size: int | None = None) -> Iterator[Piece]:
    """The pieces of a file that start in [first, first + size), in order.

    Args:
        path: plain or compressed; only a plain file can be read from its middle.
        separator: at least one byte; it belongs to no piece.
        first: a byte of the file.
        size: bytes of the range; None is all the rest.

    Raises:
        EpisodeError: the file cannot be read to the end of the range; every piece before has been given.
    """
    start = max(first - len(separator), 0)  # a separator may end just where the range begins
    with open_stream(path, start) as file:
        pieces = _split(file, start, separator)
        if first:
            next(pieces, None)
        for piece in pieces:
            if size is not None and piece.start >= first + size:
                return
            yield piece


def _split(file: Readable, start: int, separator: bytes) -> Iterator[Piece]:
    """All pieces from here on; `start` is the offset of the first."""
    tail, lost = b"", 0  # the beginning of the next piece, and how many bytes of it are gone already
    while block := file.read(max(_BLOCK, min(len(tail), MAX_PIECE_BYTES - len(tail)))):
        *whole, tail = (tail + block).split(separator)
        for data in whole:
            yield Piece(start, None if lost or len(data) > MAX_PIECE_BYTES else data)
            start += lost + len(data) + len(separator)
            lost = 0
        if lost or len(tail) > MAX_PIECE_BYTES:
            keep = min(len(separator) - 1, len(tail))
            lost += len(tail) - keep
            tail = tail[len(tail) - keep :]
    if tail or lost:
        yield Piece(start, None if lost else tail)
