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
    TableColumn("sample", lambda row: count(row[0].sample) if row[0] else "", number=True),
    TableColumn("dataset", lambda row: printable(row[0].dataset) if row[0] else ""),
    TableColumn("epoch", lambda row: count(row[0].epoch) if row[0] else "", number=True),
    TableColumn("window", lambda row: count(row[0].window) if row[0] else "", number=True),
    TableColumn("slots", lambda row: f"{row[1].slots[0]}:{row[1].slots[1]}", number=True),
    TableColumn("role", lambda row: row[1].role),
    TableColumn("episode", lambda row: printable(row[1].episode_id)),
    TableColumn("tokens", lambda row: f"{count(row[1].tokens[0])}:{count(row[1].tokens[1])}", number=True),
    TableColumn("agent", lambda row: printable(row[1].agent), optional=True),
    TableColumn("shard", lambda row: printable(row[1].shard), optional=True),
    TableColumn("record", lambda row: count(row[1].record), number=True, optional=True),
)
