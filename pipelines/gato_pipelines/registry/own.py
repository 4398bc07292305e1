"""Sources of a user's own: where they lie, what is wrong with them, and where their code failed.

A source is a module in any folder `gato_pipelines/sources` on Python's path. Those of other people are code that nobody
here has tested, so one that cannot be imported is named as broken, and does not keep the others from working.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from traceback import extract_tb
from typing import Any

from gato_data.errors import GatoError, InputError, SettingError

_SOURCES = "gato_pipelines.sources"
_OURS = os.path.realpath(Path(__file__).parents[1] / "sources")
_WANTED = ("family", "parts", "scan", "read", "input_names", "input_licence", "libraries")
_MAX_REASON = 300


def find_sources() -> dict[str, list[str]]:
    """The folders that hold a module of every source, by its name, without importing any; one is right."""
    found: dict[str, list[str]] = {}
    for folder in dict.fromkeys(map(os.path.realpath, import_module(_SOURCES).__path__)):
        if folder != _OURS and (Path(folder).parent / "source.py").exists():
            continue  # another copy of this package, not a folder of a user's own
        for module in iter_modules([folder]):
            if not module.name.startswith("_"):
                found.setdefault(module.name.replace("_", "-"), []).append(folder)
    return found


def load_source(name: str, folders: Sequence[str]) -> type[Any]:
    """Import the class of a source.

    Args:
        name: of the source.
        folders: those that hold a module of it.

    Raises:
        SettingError: it is there twice, cannot be imported, or has no class that can be a source.
    """
    if len(folders) > 1:
        own = " and ".join("gato-data itself" if folder == _OURS else folder for folder in folders)
        raise SettingError(f"{len(folders)} sources are named {name!r}, in {own}: rename the file of your own")
    module = name.replace("-", "_")
    file = Path(folders[0]) / f"{module}.py"
    try:
        found = getattr(import_module(f"{_SOURCES}.{module}"), "Source", None)
    except GatoError:
        raise
    except (Exception, SystemExit) as error:
        raise SettingError(f"source {name!r} is broken: {_place_of(error, file)} ({_said(error)})") from error
    if reason := _why_no_source(found):
        raise SettingError(f"source {name!r} is broken: {file} {reason}")
    assert isinstance(found, type)
    return found


def _why_no_source(found: object) -> str:
    """Why a thing named Source is none; empty where it is one."""
    if found is None:
        return "has no class Source"
    if not isinstance(found, type) or not is_dataclass(found):
        return "has a Source that is no dataclass: put @dataclass(frozen=True) above its class"
    if not found.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return "has a Source that is no frozen dataclass: write @dataclass(frozen=True)"
    if abstract := getattr(found, "__abstractmethods__", ()):
        return f"has a Source without {', '.join(sorted(abstract))}"
    known = {*dir(found), *(entry.name for entry in fields(found))}
    missing = [name for name in _WANTED if name not in known]
    return f"has a Source without {', '.join(missing)}" if missing else ""


def own_file(cls: type[Any]) -> Path | None:
    """The file of a class that a user wrote; None for one of ours."""
    if cls.__module__.startswith("gato_pipelines.") and not cls.__module__.startswith("gato_pipelines.sources."):
        return None
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return None if file is None or os.path.realpath(os.path.dirname(file)) == _OURS else Path(file)


def own_licence(cls: type[Any]) -> str:
    """What a source of a user's own says of the redistribution of all that it reads; empty for one of ours."""
    return str(vars(cls).get("licence", "")) if own_file(cls) is not None else ""


@contextmanager
def blamed(name: str, cls: type[Any]) -> Iterator[None]:
    """Turn what goes wrong in the code of a user's own source into one sentence; the traceback is its cause.

    Args:
        name: of the source.
        cls: its class; errors of ours stay what they are.

    Raises:
        InputError: the source failed, or gave what cannot be used.
    """
    try:
        yield
    except GatoError:
        raise
    except Exception as error:
        file = own_file(cls)
        if file is None or (isinstance(error, OSError) and _line_in(error, file) is None):
            raise
        raise InputError(
            f"source {name!r} failed at {_place_of(error, file)} ({_said(error)}): mend it there, then run the same "
            "command again; --debug shows the traceback"
        ) from error


def _place_of(error: BaseException, file: Path) -> str:
    """The file and line where an error left a source, or the file alone."""
    line = _line_in(error, file)
    return f"{file}, line {line}" if line else str(file)


def _line_in(error: BaseException, file: Path) -> int | None:
    """The last line of a file that an error passed through; None where it did not."""
    if isinstance(error, SyntaxError) and error.filename and os.path.realpath(error.filename) == os.path.realpath(file):
        return error.lineno
    real = os.path.realpath(file)
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if os.path.realpath(frame.filename) == real]
    return lines[-1] if lines else None


def _said(error: BaseException) -> str:
    """Kind and text of an error, on one line."""
    text = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:_MAX_REASON] if text else type(error).__name__
