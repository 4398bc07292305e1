"""What `mix explain` prints: one line for every piece of every window of a batch."""

from collections.abc import Sequence

from rich.console import Console

from gato_data.printable import count, printable
from gato_data.reading.explain import ExplainedPiece, ExplainedWindow
from gato_data.report.table import TableColumn
from gato_data.report.terminal.table import print_table

_Row = tuple[ExplainedWindow | None, ExplainedPiece]
"""A piece, with the window that it begins."""


def print_batch(console: Console, windows: Sequence[ExplainedWindow]) -> None:
    """Print the windows in order; a window of several pieces names its sample once."""
    rows: list[_Row] = [
        (window if not number else None, piece) for window in windows for number, piece in enumerate(window.pieces)
    ]
    if rows:
        print_table(console, _COLUMNS, rows)
    else:
        console.print("no window: this rank has no part of the batch")


_COLUMNS: Sequence[TableColumn[_Row]] = (
    TableColumn("sample", lambda r: count(r[0].sample) if r[0] else "", number=True),
    TableColumn("dataset", lambda r: printable(r[0].dataset) if r[0] else ""),
    TableColumn("epoch", lambda r: count(r[0].epoch) if r[0] else "", number=True),
    TableColumn("window", lambda r: count(r[0].window) if r[0] else "", number=True),
    TableColumn("slots", lambda r: f"{r[1].slots[0]}:{r[1].slots[1]}", number=True),
    TableColumn("role", lambda r: r[1].role),
    TableColumn("episode", lambda r: printable(r[1].episode_id)),
    TableColumn("tokens", lambda r: f"{count(r[1].tokens[0])}:{count(r[1].tokens[1])}", number=True),
    TableColumn("agent", lambda r: printable(r[1].agent), optional=True),
    TableColumn("shard", lambda r: printable(r[1].shard), optional=True),
    TableColumn("record", lambda r: count(r[1].record), number=True, optional=True),
)
