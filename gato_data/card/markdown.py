"""Markdown of texts that anybody may have written: as code, in which no reader of Markdown finds markup."""

from collections.abc import Iterable, Sequence

from gato_data.printable import printable

NOTHING = "-"


def code(text: str, limit: int = 80) -> str:
    """A text as code in a line or in a cell of a table: no link, no picture, no HTML, no end of the cell."""
    shown = printable(text, limit)
    return f"`{_without_signs(shown)}`" if shown.strip() else NOTHING


def block(lines: Iterable[str], limit: int = 400) -> str:
    """Lines as a block of code that nothing in them can close."""
    return "\n".join(["```text", *(_without_signs(printable(line, limit)) for line in lines), "```"])


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown; a heading that begins with ">" is flush right."""
    rules = ["---:" if heading.startswith(">") else "---" for heading in headings]
    return "\n".join(_row(cells) for cells in [[heading.lstrip(">") for heading in headings], rules, *rows])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _without_signs(text: str) -> str:
    """Without the two signs that end code and cells; they are shown as `printable` shows what it escapes."""
    return text.replace("`", "\\x60").replace("|", "\\x7c")
