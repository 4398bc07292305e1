"""What `mix explain` prints: one line for every piece of every window of a batch."""

from collections.abc import Sequence

from rich.console import Console

from gato_data.reading.explain import ExplainedWindow
from gato_data.report.printable import count, printable
from gato_data.report.terminal.table import Cell, Column, print_table

_COLUMNS = (
    Column("sample", number=True),
    Column("dataset"),
    Column("epoch", number=True),
    Column("window", number=True),
    Column("slots", number=True),
    Column("role"),
    Column("episode"),
    Column("tokens", number=True),
    Column("agent", optional=True),
    Column("shard", optional=True),
    Column("record", number=True, optional=True),
)


def print_batch(console: Console, windows: Sequence[ExplainedWindow]) -> None:
    """Print the windows in order; a window of several pieces names its sample once."""
    rows: list[list[Cell]] = []
    for window in windows:
        head: list[Cell] = [count(window.sample), printable(window.dataset), count(window.epoch), count(window.window)]
        for piece in window.pieces:
            rows.append(
                [
                    *head,
                    f"{piece.slots[0]}:{piece.slots[1]}",
                    piece.role,
                    printable(piece.episode_id),
                    f"{count(piece.tokens[0])}:{count(piece.tokens[1])}",
                    printable(piece.agent),
                    printable(piece.shard),
                    count(piece.record),
                ]
            )
            head = ["", "", "", ""]
    if rows:
        print_table(console, _COLUMNS, rows)
    else:
        console.print("no window: this rank has no part of the batch")
