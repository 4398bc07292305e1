"""Rows of tab-separated files, found by number."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, InputError
from gato_data.permutation import Numbers
from gato_pipelines.documents.formats.json_values import BOM
from gato_pipelines.files.streams import Readable

Quoting: TypeAlias = Literal["auto", "csv", "none"]

MAX_ROW_BYTES = 1 << 20
_BLOCK = 1 << 24
_QUOTE, _BREAK, _RETURN = ord('"'), ord("\n"), ord("\r")
_BEFORE, _BEHIND = np.frombuffer(b'\t\n"', np.uint8), np.frombuffer(b'\t\r\n"', np.uint8)
csv.field_size_limit(MAX_ROW_BYTES)


@dataclass(frozen=True, eq=False)
class Rows:
    """A file and where its rows begin.

    Attributes:
        path: of the file.
        starts: where rows begin, int64 (N + 1,); the last one is the end of the file.
        is_quoted: whether a column may stand in quotes, and then holds tabs, line breaks and
            doubled quotes.
        blank: how many lines with nothing in them are no rows, as for the csv readers that number
            rows.
    """

    path: Path
    starts: Numbers
    is_quoted: bool = False
    blank: int = 0

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.starts) - 1

    def columns(self, number: int) -> list[str]:
        """The columns of one row.

        Raises:
            EpisodeError: the row is too long, or not UTF-8.
        """
        start, stop = int(self.starts[number]), int(self.starts[number + 1])
        if stop - start > MAX_ROW_BYTES:
            raise EpisodeError(f"the row is longer than {MAX_ROW_BYTES >> 20} MiB", stage="read")
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                row = file.read(stop - start).decode()
        except UnicodeDecodeError as error:
            raise EpisodeError("the text is not valid UTF-8", stage="decode") from error
        except OSError as error:
            raise EpisodeError(f"the row cannot be read ({error.strerror})", stage="read") from error
        row = (row.removeprefix(BOM.decode()) if start == 0 else row).rstrip("\r\n")
        return _unquoted(row) if self.is_quoted else row.split("\t")

    def head(self, count: int) -> Iterator[list[str]]:
        """The columns of the first rows that can be read."""
        for number in range(min(count, len(self))):
            try:
                yield self.columns(number)
            except EpisodeError:
                continue

    def without_first(self) -> "Rows":
        """All rows but the first."""
        return replace(self, starts=self.starts[1:])


def _unquoted(row: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(row, newline=""), delimiter="\t"), [""])
    except csv.Error as error:
        raise EpisodeError(f"the quotes of the row are not csv's ({error})", stage="read") from error


def open_rows(path: Path, quoting: Quoting = "none") -> Rows:
    """Find the rows of a file; 8 bytes of memory for each.

    Args:
        path: the file.
        quoting: whether quotes are part of the text ("none") or stand around columns ("csv");
            "auto" tells it from the file: every quote has to stand where csv puts it.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            quoted = quoting == "csv" or (quoting == "auto" and is_quoted(file))
        starts, blank = _starts(path, quoted)
        return Rows(path, starts, quoted, blank)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error


def _starts(path: Path, quoted: bool) -> tuple[Numbers, int]:
    """Where rows begin, and how many lines between them are blank.

    Rows begin behind line breaks, quoted ones behind those that an even number of quotes precedes.
    """
    pieces, returns, at, quotes, last = [np.zeros(1, np.int64)], [np.zeros(0, np.bool_)], 0, 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            data = np.frombuffer(block, np.uint8)
            breaks = np.flatnonzero(data == _BREAK)
            if quoted:
                found = np.flatnonzero(data == _QUOTE)
                breaks = breaks[(np.searchsorted(found, breaks) + quotes) % 2 == 0]
                quotes += len(found)
            pieces.append(breaks + (at + 1))
            returns.append(np.where(breaks > 0, data[breaks - 1], last[0]) == _RETURN)
            at, last = at + len(block), block[-1:]
    starts = np.concatenate(pieces)
    lengths = np.diff(starts)
    blank = np.flatnonzero((lengths == 1) | ((lengths == 2) & np.concatenate(returns)))
    ends_open = starts[-1] != at
    starts = np.delete(starts, blank)  # a blank line then belongs to the end of the row before it
    return (np.append(starts, at) if ends_open else starts), len(blank)


def is_quoted(file: Readable) -> bool:
    """Whether there are quotes, and every one stands around a whole column or twice inside of one.

    Of a file that is damaged, what comes before that tells it.
    """
    quotes, last, is_whole = 0, b"\n", True
    block = file.read(len(BOM))
    block = file.read(_BLOCK) if block == BOM else block
    while block:
        try:
            following = file.read(_BLOCK)
        except EpisodeError:
            following, is_whole = b"", False
        data = _bytes(last + block + (following[:1] or b"\n"))
        found = np.flatnonzero(data[1:-1] == _QUOTE) + 1
        opens = (np.arange(len(found)) + quotes) % 2 == 0
        before, behind = data[found[opens] - 1], data[found[~opens] + 1]
        if not (np.isin(before, _BEFORE).all() and np.isin(behind, _BEHIND).all()):
            return False
        quotes, last, block = quotes + len(found), block[-1:], following
    return quotes > 0 and (quotes % 2 == 0 or not is_whole)


def _bytes(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)
