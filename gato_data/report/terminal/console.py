"""Where `inspect` prints: plain and unwrapped in a pipe, coloured and fitted to the width on a terminal."""

import io
import os
import sys
from typing import TextIO

from rich.console import Console

PIPE_COLUMNS = 100_000
"""In a pipe no line is wrapped or cut."""


class _Console(Console):
    """A console that leaves it to the program how to end when nobody reads any more."""

    def on_broken_pipe(self) -> None:
        """Called where a write failed so: the error goes on."""
        raise


def open_console(file: TextIO) -> Console:
    """A console on `file`; `COLUMNS`, `NO_COLOR` and `FORCE_COLOR` are honoured.

    A character that the stream's encoding lacks is printed as its escape instead of failing.
    """
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(errors="backslashreplace")
    terminal = hasattr(file, "isatty") and file.isatty()
    width = None if terminal or os.environ.get("COLUMNS") else PIPE_COLUMNS
    return _Console(file=file, width=width, highlight=False, markup=False, emoji=False, legacy_windows=False)


def stdout() -> Console:
    """A console on the standard output."""
    return open_console(sys.stdout)
