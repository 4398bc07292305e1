"""The name that was probably meant, for errors about one that is unknown."""

from collections.abc import Iterable
from difflib import get_close_matches


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
