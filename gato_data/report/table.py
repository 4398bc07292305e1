"""Tables and facts as they are gathered: the terminal and the page draw the same ones."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from rich.text import Text

Cell: TypeAlias = str | Text
Fact: TypeAlias = tuple[str, Cell]
"""A name and what there is to say of it."""
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class TableColumn(Generic[Row]):
    """One column of a table.

    Attributes:
        heading: above it.
        show: its cell of a row.
        number: flush right.
        optional: left out, the last one first, and named below the table, where a console is too
            narrow for all.
    """

    heading: str
    show: Callable[[Row], Cell]
    number: bool = False
    optional: bool = False


def cells(columns: Sequence[TableColumn[Row]], rows: Iterable[Row]) -> list[list[Cell]]:
    """What a table shows, row by row."""
    return [[column.show(row) for column in columns] for row in rows]
