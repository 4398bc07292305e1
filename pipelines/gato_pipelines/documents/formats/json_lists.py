"""The entries of a file that is one JSON list, found without building the list."""

import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from gato_data.errors import EpisodeError
from gato_pipelines.documents.formats.json_values import BOM
from gato_pipelines.documents.texts.passages import MAX_PASSAGE_BYTES, TOO_LONG, Passage
from gato_pipelines.files.streams import is_compressed, open_stream
from gato_pipelines.files.unpacking import WINDOW_MIB

_MARKS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
"""Strings, so that nothing is found inside them (one that never ends ends the file), and brackets."""
_BETWEEN = b" \t\r\n,"
_HEAD = 1 << 12
NO_OBJECT = "the row is no JSON object"
_MORE = "the rest of the file cannot be read (something follows the list)"


def is_json_list(path: Path, window: int = WINDOW_MIB) -> bool:
    """Whether a file begins as a list does."""
    with open_stream(path, window=window) as file:
        try:
            return file.read(_HEAD).removeprefix(BOM).lstrip()[:1] == b"["
        except EpisodeError:
            return False


def list_entries(path: Path, first: int = 0, size: int | None = None, window: int = WINDOW_MIB) -> Iterator[Passage]:
    """The entries of a list that begin in [first, first + size); damage is a last one with a reason.

    Args:
        path: plain, or compressed: then it is unpacked into a file that goes when it is closed.
        first: 0, or where an entry begins.
        size: bytes of the range; None is all the rest.
        window: as for `open_stream`.
    """
    with _mapped(path, window) as (data, damage):
        last = len(data) if size is None else first + size
        for passage in _entries(data, first):
            if passage.start >= last < len(data):  # the end belongs to the last range
                return
            yield passage
        if damage:
            yield Passage(len(data), None, damage)


def _entries(data: mmap.mmap | bytes, first: int) -> Iterator[Passage]:
    """Every entry from `first` on, and what stands between two of them where that is no white space."""
    depth, start, behind = int(first > 0), first, first
    for mark in _MARKS.finditer(data, first):
        sign = data[mark.start() : mark.start() + 1]
        if depth == 1:
            start = mark.start()
            yield from _stray(data, behind, start, NO_OBJECT)
        depth += (sign in b"[{") - (sign in b"]}")
        if depth == 1 and sign in b'"]}':
            yield _entry(data, start, mark.end())
        if depth <= 1:
            behind = mark.end()
        if depth == 0:
            yield from _stray(data, behind, len(data), _MORE)
            return
    yield Passage(behind, None, "the rest of the file cannot be read (the list does not end)")


def _entry(data: mmap.mmap | bytes, start: int, stop: int) -> Passage:
    return Passage(start, None, TOO_LONG) if stop - start > MAX_PASSAGE_BYTES else Passage(start, data[start:stop])


def _stray(data: mmap.mmap | bytes, start: int, stop: int, reason: str) -> Iterator[Passage]:
    if data[start : min(stop, start + _HEAD)].strip(_BETWEEN):
        yield Passage(start, None, reason)


@contextmanager
def _mapped(path: Path, window: int) -> Iterator[tuple[mmap.mmap | bytes, str]]:
    """The bytes of a file, and why there are no more of them where it is compressed and damaged."""
    damage = ""
    with path.open("rb") if not is_compressed(path.name) else TemporaryFile() as file:
        if is_compressed(path.name):
            try:
                with open_stream(path, window=window) as stream:
                    while block := stream.read(1 << 20):
                        file.write(block)
            except EpisodeError as error:
                damage = str(error)
            file.flush()
        if not file.seek(0, 2):
            yield b"", damage
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data, damage
