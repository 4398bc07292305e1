"""What is looked up in optional simulators: their modules, and the names of their tasks."""

import importlib
import re
import warnings
from collections.abc import Sequence
from typing import Any

from gato_data.closest import closest
from gato_data.errors import MissingPackageError, SettingError


def find_name(name: str, names: Sequence[str], what: str) -> str:
    """One of `names`, whatever the capitals and separators it is given with.

    Raises:
        SettingError: there is none; the message says what `what` it was to be.
    """
    by_key = {_key(known): known for known in names}
    found = by_key.get(_key(name))
    if found is None:
        close = closest(_key(name), by_key)
        hint = f"did you mean {by_key[close]!r}?" if close else f"there are {len(names)}, such as {names[0]!r}"
        raise SettingError(f"no {what} named {name!r}: {hint}")
    return found


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def import_simulator(module: str, what: str, install: str) -> Any:
    """A module of an optional package.

    Raises:
        MissingPackageError: it is not installed; the message says what to run.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of graphics that only windows need
            return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingPackageError(f"playing {what} needs {package}: {install}") from error
