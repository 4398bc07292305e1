"""Text from data, made safe to print: nothing in it can move the cursor, change colours or reorder a line."""

import math

MAX_CHARACTERS = 80
MAX_LINE = 2000
"""Characters of a line that quotes data, such as a warning or an error."""


def printable(text: str, limit: int = MAX_CHARACTERS) -> str:
    """The text with every unprintable character escaped, cut after `limit` characters.

    Unprintable are control characters and escape sequences, line ends, bidirectional overrides, zero-width and
    unassigned characters, and lone surrogates.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:limit])
    return shown if len(text) <= limit else f"{shown}... ({len(text) - limit:,} more characters)"


def count(number: int) -> str:
    """12,345."""
    return f"{number:,}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """1 episode, 2 episodes."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def yes_no(value: bool) -> str:
    """yes or no."""
    return "yes" if value else "no"


def share(part: float, whole: float) -> str:
    """A percentage with one decimal; "-" of nothing. A share that is not zero never prints as 0.0%."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    return "<0.1%" if 0 < percent < 0.05 else f"{percent:.1f}%"


def real(number: float | None, digits: int = 4) -> str:
    """A number with `digits` significant digits; "-" for NaN and None."""
    if number is None or math.isnan(number):
        return "-"
    return f"{number:.{digits}g}"


def size(number: int) -> str:
    """Bytes with a decimal unit: "168.4 kB"."""
    value = float(number)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{number} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
