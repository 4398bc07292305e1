"""A table that is never cut: where it does not fit the width, every row becomes a block of its own."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from gato_data.report.table import Cell, Fact, Row, TableColumn, cells

_GAP = "  "


def print_table(
    console: Console, columns: Sequence[TableColumn[Row]], content: Iterable[Row], last: Sequence[Cell] = ()
) -> None:
    """Print rows under headings, `last` as one more row below them.

    On a console too narrow for that, a block of `heading value` items for each row. A column
    without a value is left out.
    """
    rows = cells(columns, content) + ([last] if last else [])
    if not rows:
        return
    kept = [i for i in range(len(columns)) if any(str(row[i]) for row in rows)]
    widths = [
        max(cell_len(column.heading), *(cell_len(str(row[i])) for row in rows)) for i, column in enumerate(columns)
    ]
    shown = list(kept)
    while _total(widths, shown) > console.width and (droppable := [i for i in shown if columns[i].optional]):
        shown.remove(droppable[-1])
    if _total(widths, shown) > console.width:
        _print_blocks(console, [columns[i] for i in kept], [[row[i] for i in kept] for row in rows])
        return
    chosen, chosen_widths = [columns[i] for i in shown], [widths[i] for i in shown]
    _print_line(console, chosen, chosen_widths, [Text(column.heading, "bold") for column in chosen])
    for row in rows:
        _print_line(console, chosen, chosen_widths, [row[i] for i in shown])
    if hidden := [columns[i].heading for i in kept if i not in shown]:
        print_hanging(console, Text(""), Text(f"(no room for {', '.join(hidden)}: see --json)", "dim"))


def print_heading(console: Console, text: str) -> None:
    """Print an empty line and a heading."""
    console.print()
    console.print(Text(text, "bold"), soft_wrap=True)


def _total(widths: Sequence[int], columns: Sequence[int]) -> int:
    return sum(widths[i] for i in columns) + len(_GAP) * (len(columns) - 1)


def print_facts(console: Console, facts: Iterable[Fact], indent: str = "") -> None:
    """Print `name  value` lines, the values under each other; long values go on under themselves."""
    facts = list(facts)
    width = max((cell_len(name) for name, _ in facts), default=0)
    for name, value in facts:
        head = Text(f"{indent}{name}".ljust(width + len(indent)) + _GAP, "dim")
        print_hanging(console, head, value)


def print_hanging(console: Console, head: Text, value: Cell) -> None:
    """Print `value` after `head`, folded at the width with its lines under each other."""
    body = value if isinstance(value, Text) else Text(value)
    left = cell_len(head.plain)
    lines = body.wrap(console, max(console.width - left, 8), overflow="fold") or [Text("")]
    for number, line in enumerate(lines):
        whole = Text().append_text(head) if not number else Text(" " * left)
        whole.append_text(line)
        whole.rstrip()
        console.print(whole, soft_wrap=True)


def _print_line(
    console: Console, columns: Sequence[TableColumn[Any]], widths: Sequence[int], row: Sequence[Cell]
) -> None:
    line = Text()
    for number, (column, width, cell) in enumerate(zip(columns, widths, row, strict=True)):
        text = cell.copy() if isinstance(cell, Text) else Text(cell)
        padding = " " * (width - cell_len(text.plain))
        if number:
            line.append(_GAP)
        if column.number:
            line.append(padding)
        line.append_text(text)
        if not column.number:
            line.append(padding)
    line.rstrip()
    console.print(line, soft_wrap=True)


def _print_blocks(console: Console, columns: Sequence[TableColumn[Any]], rows: Sequence[Sequence[Cell]]) -> None:
    for row in rows:
        print_hanging(console, Text(columns[0].heading + " ", "bold"), row[0])
        line = Text("  ")
        for column, cell in zip(columns[1:], row[1:], strict=True):
            if not str(cell):
                continue
            item = Text.assemble((column.heading + " ", "dim"), cell)
            if line.plain.strip() and cell_len(line.plain) + cell_len(item.plain) > console.width:
                _print_stripped(console, line)
                line = Text("  ")
            line = line.append_text(item).append(_GAP)
        if line.plain.strip():
            _print_stripped(console, line)


def _print_stripped(console: Console, line: Text) -> None:
    line.rstrip()
    console.print(line, overflow="fold")
