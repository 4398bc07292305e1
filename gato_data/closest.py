"""The names that were probably meant, and those there are, for errors about one that is unknown."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_LISTED = 8
"""Names that a sentence lists."""


def close_names(name: str, names: Iterable[str]) -> list[str]:
    """Those of the names that are like `name`, at most three, the one most like it first."""
    return get_close_matches(name, list(names))


def closest(name: str, names: Iterable[str]) -> str | None:
    """The one of the names that is most like `name`; None where none is."""
    return next(iter(close_names(name, names)), None)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: a full stop, or the question behind it."""
    found = closest(name, names)
    return "." if found is None else f". Did you mean {found!r}?"


def listed(names: Sequence[str]) -> str:
    """The first names there are, and how many more; empty where there is none."""
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
