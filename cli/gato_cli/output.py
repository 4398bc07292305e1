"""How commands print: the answer as JSON or drawn on a terminal, what is said beside it on stderr."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console


def show(answer: Callable[[], object], draw: Callable[["Console"], None], *, as_json: bool) -> None:
    """Print an answer as one JSON object, or draw it on the standard output."""
    if as_json:
        from gato_data.report.encode import as_json as encoded

        click.echo(encoded(answer()))
    else:
        from gato_data.report.terminal.console import stdout

        draw(stdout())


def say(line: str) -> None:
    """A line on stderr, whatever it quotes made safe to print."""
    from gato_data.printable import MAX_LINE, printable

    click.echo(printable(line, MAX_LINE), err=True)
