"""How many frames an MP4 file claims, before FFmpeg reserves memory for all of them.

A few bytes can claim billions of samples of one size, or of none: tables of that kind are what
FFmpeg's index is made of.
"""

from collections.abc import Iterator
from typing import BinaryIO

from gato_data.errors import EpisodeError

_INSIDE = (b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl")
_MAX_EDITS = 64
"""Pieces of an edit list: FFmpeg repeats the frames of every one of them in its index."""
_MAX_BOXES = 10_000


def check_samples(file: BinaryIO) -> None:
    """Check that no track claims more samples than the file has bytes, and that the file is not fragmented.

    Raises:
        EpisodeError: one does, it is, or has more boxes or edits than any video.
    """
    end = file.seek(0, 2)
    for kind, start, _ in _boxes(file, 0, end):
        if kind in (b"moof", b"mvex"):
            raise EpisodeError("it is a fragmented MP4: write it as one file of frames", stage="decode")
        if kind in (b"stsz", b"stz2"):
            file.seek(start + 8)
            count = int.from_bytes(file.read(4), "big")
            if count > end:
                raise EpisodeError(f"it claims {count} frames in {end} bytes", stage="decode")
        if kind == b"elst":
            file.seek(start + 4)
            if (edits := int.from_bytes(file.read(4), "big")) > _MAX_EDITS:
                raise EpisodeError(f"it is cut into {edits} pieces, at most {_MAX_EDITS} are read", stage="decode")


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of every box, those inside others too."""
    waiting, seen = [(start, end)], 0
    while waiting:
        at, stop = waiting.pop()
        while at + 8 <= stop:
            seen += 1
            if seen > _MAX_BOXES:
                raise EpisodeError(f"it has more than {_MAX_BOXES} boxes", stage="decode")
            file.seek(at)
            size, kind = int.from_bytes(file.read(4), "big"), file.read(4)
            content = at + 8
            if size == 1:
                size, content = int.from_bytes(file.read(8), "big"), at + 16
            size = size or stop - at
            if size < content - at or at + size > stop:
                return
            yield kind, content, at + size
            if kind in _INSIDE:
                waiting.append((content, at + size))
            at += size
