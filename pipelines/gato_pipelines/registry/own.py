"""Sources of a user's own: where they lie, what is wrong with them, and where their code failed.

A source is a module in any folder `gato_pipelines/sources` on Python's path, or a class that an
installed package names as an entry point of the group `gato_data.sources`. Those of other people
are code that nobody here has tested, so one that cannot be imported is named as broken, and does
not keep the others from working.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from traceback import extract_tb
from typing import Any

from gato_data.errors import GatoError, InputError, SettingError
from gato_pipelines.source import Source

GROUP = "gato_data.sources"
"""Group of the entry points, each `name = "module:Source"`."""
_SOURCES = "gato_pipelines.sources"
_OURS = os.path.realpath(Path(__file__).parents[1] / "sources")
_MAX_REASON = 300


@dataclass(frozen=True, slots=True)
class Home:
    """Where a source is.

    Attributes:
        place: the folder of its module, or the package that names it.
        module: name of its module.
        attribute: name of its class there.
    """

    place: str
    module: str
    attribute: str = "Source"

    @property
    def file(self) -> str:
        """The file of the module, or what is known of it where there is none."""
        if self.module.startswith(f"{_SOURCES}."):
            return str(Path(self.place) / f"{self.module.rpartition('.')[2]}.py")
        with suppress(Exception):  # finding a module imports the packages that it is in
            if (spec := find_spec(self.module)) is not None and spec.origin is not None:
                return spec.origin
        return f"{self.module}:{self.attribute} of {self.place}"


def find_sources() -> dict[str, list[Home]]:
    """Where every source is, by its name, without importing any; one place is right."""
    found: dict[str, list[Home]] = {}
    for folder in dict.fromkeys(map(os.path.realpath, import_module(_SOURCES).__path__)):
        if folder != _OURS and (Path(folder).parent / "source.py").exists():
            continue  # another copy of this package, not a folder of a user's own
        for module in iter_modules([folder]):
            if not module.name.startswith("_"):
                found.setdefault(_name(module.name), []).append(Home(folder, f"{_SOURCES}.{module.name}"))
    for name, home in _installed(tuple(sys.path)):
        found.setdefault(name, []).append(home)
    return found


@cache
def _installed(path: tuple[str, ...]) -> list[tuple[str, Home]]:
    """The sources of the packages that are installed, for one search path of Python's."""
    return [
        (
            _name(point.name),
            Home(f"the package {point.dist.name if point.dist else '?'}", point.module, point.attr or "Source"),
        )
        for point in entry_points(group=GROUP)
    ]


def _name(name: str) -> str:
    return name.replace("_", "-")


def load_source(name: str, homes: Sequence[Home]) -> type[Any]:
    """Import the class of a source.

    Args:
        name: of the source.
        homes: where it is.

    Raises:
        SettingError: it is there twice, cannot be imported, or has no class that can be a source.
    """
    if len(homes) > 1:
        own = " and ".join("gato-data itself" if home.place == _OURS else home.place for home in homes)
        raise SettingError(f"{len(homes)} sources are named {name!r}, in {own}: rename the file of your own")
    (home,) = homes
    try:
        found = getattr(import_module(home.module), home.attribute, None)
    except GatoError:
        raise
    except (Exception, SystemExit) as error:
        raise SettingError(f"source {name!r} is broken: {_place_of(error, home.file)} ({_said(error)})") from error
    if reason := _why_no_source(found, home.attribute):
        raise SettingError(f"source {name!r} is broken: {home.file} {reason}")
    assert isinstance(found, type)
    return _completed(found)


def _why_no_source(found: object, name: str) -> str:
    """Why a thing of that name is no source; empty where it is one."""
    if found is None:
        return f"has no class {name}"
    if not isinstance(found, type) or not is_dataclass(found):
        return f"has a {name} that is no dataclass: put @dataclass(frozen=True) above its class"
    if not found.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return f"has a {name} that is no frozen dataclass: write @dataclass(frozen=True)"
    abstract: frozenset[str] = getattr(found, "__abstractmethods__", frozenset())
    missing = sorted(abstract - set(_OWN)) + [name for name in _OWN if name in abstract or name not in _members(found)]
    return f"has a {name} without {', '.join(missing)}" if missing else ""


_OWN = [name for name, member in vars(Source).items() if getattr(member, "__isabstractmethod__", False)]
"""What every source has to have."""


def _members(cls: type[Any]) -> set[str]:
    return {*dir(cls), *(entry.name for entry in fields(cls))}


def _completed(cls: type[Any]) -> type[Any]:
    """A source that implements the protocol by itself, with the defaults that others inherit."""
    known = _members(cls)
    for name, member in vars(Source).items():
        if not name.startswith("_") and name not in known:
            setattr(cls, name, member)
    return cls


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


def _place_of(error: BaseException, file: str | Path) -> str:
    """The file and line where an error left a source, or the file alone."""
    line = _line_in(error, file)
    return f"{file}, line {line}" if line else str(file)


def _line_in(error: BaseException, file: str | Path) -> int | None:
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
