"""Option types, and click options made from the fields of a settings dataclass."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

import click

from gato_data.errors import SettingError

if TYPE_CHECKING:
    ParamType: TypeAlias = click.ParamType[Any]
else:
    ParamType = click.ParamType  # generic for type checkers only, in some versions of click


_UNKNOWN = object()


class Place(ParamType):
    """A path, or the address of a folder or file that is not on this machine."""

    name = "PATH|ADDRESS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        """A Path, or an address such as s3://bucket/folder as it is."""
        from gato_pipelines.remote.folder import as_place

        if not str(value):
            self.fail("the path is empty: give one, such as ./data", param, ctx)
        return as_place(value) if isinstance(value, str) else Path(value)


class HeightWidth(ParamType):
    """HxW: height and width in pixels."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Parse "64x80"."""
        if isinstance(value, tuple):
            return value
        height, _, width = str(value).lower().partition("x")
        if not (height.isdecimal() and width.isdecimal()):
            self.fail(f"{value!r} is not a size: give height and width in pixels, such as 64x80", param, ctx)
        return int(height), int(width)


class LowHigh(ParamType):
    """LOW:HIGH: a range of numbers."""

    name = "LOW:HIGH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Parse "-1:1"."""
        if isinstance(value, tuple):
            return value
        low, _, high = str(value).partition(":")
        try:
            found = float(low), float(high)
        except ValueError:
            self.fail(f"{value!r} is not a range: give two numbers, such as -1:1", param, ctx)
        if not found[0] < found[1]:
            self.fail(f"{value!r} is an empty range: its low end must be below its high end", param, ctx)
        return found


class ActionRange(LowHigh):
    """none, minmax, quantile, or LOW:HIGH."""

    name = "none|minmax|quantile|LOW:HIGH"
    words: tuple[str, ...] = ("none", "minmax", "quantile")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse "minmax" or "-1:1"."""
        if isinstance(value, tuple) or value in self.words:
            return value
        if ":" not in str(value):
            self.fail(f"{value!r} is neither {', '.join(self.words)} nor a range such as -1:1", param, ctx)
        return super().convert(value, param, ctx)


class Names(ParamType):
    """A comma-separated list of names."""

    name = "NAME,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Parse "a,b"."""
        if isinstance(value, tuple):
            return value
        return tuple(name for name in (part.strip() for part in str(value).split(",")) if name)


def settings_options(cls: type[Any]) -> list[click.Option]:
    """One option per field of a settings dataclass; `help` and `metavar` come from the field's metadata.

    Raises:
        SettingError: a field is of a type that a command line cannot spell.
    """
    hints = get_type_hints(cls)
    return [_option(entry, hints[entry.name]) for entry in fields(cls) if entry.init]


def _option(entry: "Field[Any]", hint: Any) -> click.Option:
    default = entry.default if entry.default is not MISSING else None
    metadata: Mapping[str, Any] = entry.metadata
    names = [f"--{entry.name.replace('_', '-')}"]
    shown: bool | str = default not in ("", (), None)
    if hint is bool:
        names = [f"{names[0]}/--no-{names[0][2:]}"]
    kind = None if hint is bool else _type(hint)
    if kind is _UNKNOWN:
        raise SettingError(
            f"the setting {entry.name!r} is of type {hint}, which a command line cannot spell: bool, int, float, str, "
            "Path, Literal, and tuples of str or of two numbers are taken"
        )
    if isinstance(default, tuple) and len(default) == 2 and shown:
        shown = {int: "x", float: ":", str: ","}[type(default[0])].join(map(str, default))
    return click.Option(
        names,
        default=default,
        required=entry.default is MISSING and entry.default_factory is MISSING,
        type=kind,
        metavar=metadata.get("metavar"),
        help=metadata.get("help", ""),
        show_default=shown,
    )


def _type(hint: Any) -> Any:
    if get_origin(hint) in (Union, UnionType) and any(get_origin(arg) is Literal for arg in get_args(hint)):
        return ActionRange()
    if get_origin(hint) in (Union, UnionType):
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    if get_origin(hint) is Literal:
        return click.Choice(get_args(hint))
    if get_origin(hint) is tuple:
        return {int: HeightWidth(), float: LowHigh(), str: Names()}.get(get_args(hint)[0], _UNKNOWN)
    return click.Path(path_type=Path) if hint is Path else hint if hint in (str, int, float) else _UNKNOWN


def first_line(cls: type[Any]) -> str:
    """What a class says of itself in one line; empty where it says nothing."""
    return next(iter((cls.__doc__ or "").strip().splitlines()), "")


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`: the result as one object."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")(function)
