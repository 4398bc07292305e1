"""Rows of tab-separated files without quoting, found by number."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gato_data.errors import EpisodeError, InputError
from gato_data.permutation import Numbers

MAX_ROW_BYTES = 1 << 20
_BLOCK = 1 << 24


@dataclass(frozen=True, eq=False)
class Rows:
    """A file and where its rows begin: int64 (N + 1,), the last one is the end of the file."""

    path: Path
    starts: Numbers

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
                row = file.read(stop - start)
            return row.decode().rstrip("\r\n").split("\t")
        except UnicodeDecodeError as error:
            raise EpisodeError("the text is not valid UTF-8", stage="decode") from error
        except OSError as error:
            raise EpisodeError(f"the row cannot be read ({error.strerror})", stage="read") from error

    def head(self, count: int) -> Iterator[list[str]]:
        """The columns of the first rows that can be read."""
        for number in range(min(count, len(self))):
            try:
                yield self.columns(number)
            except EpisodeError:
                continue


def read_rows(path: Path) -> Rows:
    """Find the rows of a file; 8 bytes of memory for each.

    Raises:
        InputError: it cannot be read.
    """
    pieces, at = [np.zeros(1, np.int64)], 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                pieces.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + (at + 1))
                at += len(block)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    starts = np.concatenate(pieces)
    return Rows(path, starts if starts[-1] == at else np.append(starts, at))
