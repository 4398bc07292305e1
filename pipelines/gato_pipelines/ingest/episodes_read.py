"""How many episodes of a part its worker has read: a number in a file, for whoever watches."""

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

EPISODES_FILE = "episodes"
_SECONDS = 0.25
"""Between two times that the number is written: a watcher looks no more often."""


class EpisodesRead:
    """Counts the episodes that a worker reads; a context manager that writes their number at last.

    Args:
        folder: of the temporary shards of the part.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._episodes, self._next = 0, 0.0

    def __enter__(self) -> Self:
        self._file = (self._folder / EPISODES_FILE).open("wb", buffering=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write()
        self._file.close()

    def count(self, episodes: int) -> None:
        """Add to the number."""
        self._episodes += episodes
        if time.monotonic() >= self._next:
            self._write()
            self._next = time.monotonic() + _SECONDS

    def _write(self) -> None:
        os.pwrite(self._file.fileno(), self._episodes.to_bytes(8, "little"), 0)


def episodes_read(folder: Path) -> int:
    """The number in the folder of a part; 0 where there is none yet, or none any more."""
    try:
        return int.from_bytes((folder / EPISODES_FILE).read_bytes()[:8], "little")
    except (FileNotFoundError, NotADirectoryError):
        return 0
