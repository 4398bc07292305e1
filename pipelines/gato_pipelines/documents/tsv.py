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

Quoting: TypeAlias = Literal["auto", "csv", "none"]

MAX_ROW_BYTES = 1 << 20
_BLOCK = 1 << 24
_BOM = "\ufeff"
_QUOTE, _BREAK = ord('"'), ord("\n")
_BEFORE, _BEHIND = np.frombuffer(b'\t\n"', np.uint8), np.frombuffer(b'\t\r\n"', np.uint8)
csv.field_size_limit(MAX_ROW_BYTES)


@dataclass(frozen=True, eq=False)
class Rows:
    """A file and where its rows begin: int64 (N + 1,), the last one is the end of the file.

    `is_quoted`: a column may stand in quotes, and then holds tabs, line breaks and doubled quotes.
    """

    path: Path
    starts: Numbers
    is_quoted: bool = False

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
        row = (row.removeprefix(_BOM) if start == 0 else row).rstrip("\r\n")
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


def read_rows(path: Path, quoting: Quoting = "none") -> Rows:
    """Find the rows of a file; 8 bytes of memory for each.

    Args:
        path: the file.
        quoting: whether quotes are part of the text ("none") or stand around columns ("csv"); "auto" tells it from the
            file: every quote has to stand where csv puts it.

    Raises:
        InputError: it cannot be read.
    """
    try:
        is_quoted = quoting == "csv" or (quoting == "auto" and _is_quoted(path))
        return Rows(path, _starts(path, is_quoted), is_quoted)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error


def _starts(path: Path, is_quoted: bool) -> Numbers:
    """Where rows begin: behind line breaks, of quoted rows behind those that an even number of quotes precedes."""
    pieces, at, quotes = [np.zeros(1, np.int64)], 0, 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            data = np.frombuffer(block, np.uint8)
            breaks = np.flatnonzero(data == _BREAK)
            if is_quoted:
                found = np.flatnonzero(data == _QUOTE)
                breaks = breaks[(np.searchsorted(found, breaks) + quotes) % 2 == 0]
                quotes += len(found)
            pieces.append(breaks + (at + 1))
            at += len(block)
    starts = np.concatenate(pieces)
    return starts if starts[-1] == at else np.append(starts, at)


def _is_quoted(path: Path) -> bool:
    """Whether there are quotes, and every one stands around a whole column or twice inside of one."""
    quotes, last = 0, b"\n"
    with path.open("rb") as file:
        if file.peek(3)[:3] == _BOM.encode():
            file.read(3)
        while block := file.read(_BLOCK):
            data = _bytes(last + block + (file.peek(1)[:1] or b"\n"))
            found = np.flatnonzero(data[1:-1] == _QUOTE) + 1
            opens = (np.arange(len(found)) + quotes) % 2 == 0
            before, behind = data[found[opens] - 1], data[found[~opens] + 1]
            if not (np.isin(before, _BEFORE).all() and np.isin(behind, _BEHIND).all()):
                return False
            quotes, last = quotes + len(found), block[-1:]
    return quotes > 0 and quotes % 2 == 0


def _bytes(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)
