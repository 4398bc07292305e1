"""Option types, and click options made from the fields of a settings dataclass."""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeAlias, Union, get_args, get_origin

import click
from click.shell_completion import CompletionItem

from gato_data.errors import SettingError
from gato_data.settings import choices, declared, flag_name, is_nested
from gato_data.sizes import parse_size, written_size

if TYPE_CHECKING:
    ParamType: TypeAlias = click.ParamType[Any]
else:
    ParamType = click.ParamType  # generic for type checkers only, in some versions of click


class Place(ParamType):
    """A path, or the address of a folder or file that is not on this machine."""

    name = "PATH|ADDRESS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        """A Path, or an address such as s3://bucket/folder as it is."""
        from gato_data.remote.address import as_place

        if not str(value):
            self.fail("the path is empty: give one, such as ./data", param, ctx)
        return as_place(value) if isinstance(value, str) else Path(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete paths of this machine."""
        return [CompletionItem(incomplete, type="file")]


class LocalPath(click.Path):
    """A path of this machine."""

    def __init__(self, *, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(file_okay=file_okay, dir_okay=dir_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A Path; an address would become a folder of that name."""
        from gato_data.remote.address import as_place, is_remote, redacted

        if isinstance(value, str) and is_remote(value):
            self.fail(
                f"{redacted(value)} is an address, a path of this machine was wanted: copy from it or to it, for "
                "example with aws s3 sync, or gcloud storage cp --recursive",
                param,
                ctx,
            )
        return super().convert(as_place(value) if isinstance(value, str) and value else value, param, ctx)


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


class Size(ParamType):
    """SIZE: a number of bytes, such as 16GB."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse "16GB"."""
        try:
            return value if isinstance(value, int) else parse_size(str(value))
        except SettingError as error:
            self.fail(str(error), param, ctx)


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
    """none, minmax, quantile, stats, or LOW:HIGH."""

    name = "none|minmax|quantile|stats|LOW:HIGH"
    words: tuple[str, ...] = ("none", "minmax", "quantile", "stats")

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


class TokenRange(ParamType):
    """`A:B`, tokens A to B - 1; either may be left out."""

    name = "A:B"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """The two ends; a missing one is the end of the record."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{0,12}):(\d{0,12})", str(value))
        if match is None:
            self.fail(f"{value!r} is not a range of tokens: A:B is wanted, for example 0:64", param, ctx)
        return int(match[1] or 0), int(match[2] or 10**12)


class Threshold(ParamType):
    """`NAME=VALUE`."""

    name = "NAME=VALUE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """The name and its value."""
        if isinstance(value, tuple):
            return value
        name, _, number = str(value).partition("=")
        try:
            return name, float(number)
        except ValueError:
            self.fail(f"{value!r} is not a threshold: NAME=VALUE is wanted, for example saturated=0.05", param, ctx)


def settings_options(cls: type[Any], *, bounded: bool = False) -> list[click.Option]:
    """One option per field of a settings dataclass, of what `gato_data.settings.setting` says of it.

    A field that is such a dataclass itself has its options in its place: those that have a help.

    Args:
        cls: the dataclass.
        bounded: hold numbers to their limits, and show these.

    Raises:
        SettingError: a field is of a type that a command line cannot spell.
    """
    found = []
    for entry, kind in declared(cls):
        if is_nested(kind):
            inner = settings_options(kind, bounded=bounded)
            found += [option for option in inner if option.help]
        else:
            found.append(setting_option(entry, kind, bounded=bounded))
    return found


def setting_option(entry: "Field[Any]", kind: Any, *, bounded: bool = False) -> click.Option:
    """The option of one field, with its default.

    Raises:
        SettingError: the field is of a type that a command line cannot spell.
    """
    limited = _range(entry, kind) if bounded else None
    return _option(entry, limited or _type(entry, kind), entry.default)


def unset_option(entry: "Field[Any]", kind: Any, told: str = "") -> click.Option:
    """The option of one field that is None if not given; whole numbers are held to their limits.

    Args:
        entry, kind: the field and its type.
        told: what its help calls the default.
    """
    limited = _range(entry, kind) if kind is int else None
    option = _option(entry, limited or _type(entry, kind), None)
    option.help = f"{option.help}  [default: {told}]" if told else option.help
    return option


def _range(entry: "Field[Any]", kind: Any) -> click.IntRange | click.FloatRange | None:
    """What holds a number to the limits of its setting; None where it has none."""
    low, high, below = (entry.metadata.get(name) for name in ("minimum", "maximum", "below"))
    if kind not in (int, float) or (low, high, below) == (None, None, None):
        return None
    most = high if below is None else below
    cls = click.IntRange if kind is int else click.FloatRange
    return cls(low, most, max_open=below is not None)


def _option(entry: "Field[Any]", value_type: Any, default: Any) -> click.Option:
    metadata: Mapping[str, Any] = entry.metadata
    required = default is MISSING and entry.default_factory is MISSING
    default = None if default is MISSING else default
    shown: bool | str = default not in ("", (), None)
    if isinstance(default, tuple) and len(default) == 2 and shown:
        shown = {int: "x", float: ":", str: ","}[type(default[0])].join(map(str, default))
    if metadata.get("is_size") and default is not None:
        default = written_size(default)
    name = flag_name(entry)
    if value_type is bool and not metadata.get("flag"):
        name = f"{name}/--no-{name[2:]}"
    repeatable = bool(metadata.get("repeatable"))
    more: dict[str, Any] = {} if required else {"default": default}  # a default of None would count as given
    if (alone := metadata.get("alone")) is not None:
        more |= {"flag_value": alone}
    return click.Option(
        [name, entry.name],
        required=required,
        type=None if value_type is bool or repeatable else value_type,
        multiple=repeatable,
        is_flag=value_type is bool or (None if alone is None else False),
        metavar=metadata.get("metavar"),
        help=metadata.get("help", ""),
        show_default=shown,
        **more,
    )


def _type(entry: "Field[Any]", kind: Any) -> Any:
    """What reads a value of a setting.

    Raises:
        SettingError: nothing does.
    """
    if get_origin(kind) in (Union, UnionType):
        if any(choices(arm) for arm in get_args(kind)):
            return ActionRange()
        kind = get_args(kind)[0]
    if choices(kind):
        return click.Choice(choices(kind))
    if entry.metadata.get("is_size"):
        return Size()
    found: Any = None
    if get_origin(kind) is tuple:
        found = {int: HeightWidth(), float: LowHigh(), str: Names()}.get(get_args(kind)[0])
    elif kind in (bool, str, int, float, Path):
        found = LocalPath() if kind is Path else kind
    if found is None:
        raise SettingError(
            f"the setting {entry.name!r} is of type {kind}, which a command line cannot spell: bool, int, float, "
            "str, Path, Literal, and tuples of str or of two numbers are taken"
        )
    return found


def first_line(cls: type[Any]) -> str:
    """What a class says of itself in one line; empty where it says nothing."""
    return next(iter((cls.__doc__ or "").strip().splitlines()), "")


def cache_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--cache`: where what is read from addresses is kept."""
    return click.option(
        "--cache",
        metavar="DIR",
        type=LocalPath(file_okay=False),
        help="Keeps what is read from addresses.  [default: ~/.cache/gato-data]",
    )(function)


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`: the result as one object."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")(function)
