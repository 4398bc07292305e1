"""A setting is declared once, as a dataclass field: options, help and checks are made of it."""

import math
from collections.abc import Mapping
from dataclasses import Field, asdict, field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gato_data.errors import SettingError
from gato_data.sizes import written_size


def setting(
    default: Any,
    text: str,
    metavar: str = "",
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    below: float | None = None,
    refusal: str = "",
    option: str = "",
    flag: bool = False,
    alone: str | None = None,
    repeatable: bool = False,
    decides: bool = True,
    records_default: bool = True,
) -> Any:
    """A field of a dataclass of settings.

    Args:
        default: MISSING where there is none.
        text: help of the command line's option; empty for a setting that is no option.
        metavar: what stands for the value in help; PATH, FILE and DIR are paths, SIZE is a number of bytes, which a
            command line takes with a unit too.
        minimum: least number, for `check`; with it, a number has to be finite.
        maximum: largest number, likewise.
        below: what numbers have to be smaller than, instead of a maximum.
        refusal: what is said of other numbers, or of what is none of the choices, with {name},
            {value}, {minimum}, {maximum}, {below} and {choices} in it.
        option: the option's name, where it is not the field's.
        flag: of a bool, that the option only switches it on.
        alone: the value that the option stands for where none follows it.
        repeatable: of a tuple, that the option is given once for every value.
        decides: whether the result depends on it, so that a fingerprint has to hold it.
        records_default: whether it is recorded where it has its default; without it, a dataset has
            the fingerprint that it had before there was such a setting.
    """
    metadata = {
        "help": text,
        "metavar": metavar or None,
        "is_path": metavar in ("PATH", "FILE", "DIR"),
        "is_size": metavar == "SIZE",
        "minimum": minimum,
        "maximum": maximum,
        "below": below,
        "refusal": refusal or _refusal(minimum, maximum),
        "option": option,
        "flag": flag,
        "alone": alone,
        "repeatable": repeatable,
        "decides": decides,
        "records_default": records_default,
    }
    return field(default=default, metadata=metadata)


def _refusal(minimum: float | None, maximum: float | None) -> str:
    if (minimum, maximum) == (None, None):
        return "{name} must be one of {choices}; got {value!r}"
    wanted = "at least {minimum}" if maximum is None else "a number from {minimum} to {maximum}"
    return f"{{name}} {{value}} is not possible: {wanted} is wanted"


def declared(cls: type[Any]) -> tuple[tuple["Field[Any]", Any], ...]:
    """The fields of a dataclass of settings, each with its type; `T | None` counts as T."""
    hints = get_type_hints(cls)
    return tuple((entry, _without_none(hints[entry.name])) for entry in fields(cls) if entry.init)


def _without_none(hint: Any) -> Any:
    arms = [arm for arm in get_args(hint) if arm is not NoneType]
    return arms[0] if get_origin(hint) in (Union, UnionType) and len(arms) == 1 else hint


def choices(kind: Any) -> tuple[str, ...]:
    """The values of a Literal; empty for other types."""
    return get_args(kind) if get_origin(kind) is Literal else ()


def flag_name(entry: "Field[Any]") -> str:
    """The setting's option on a command line."""
    return "--" + (entry.metadata.get("option") or entry.name).replace("_", "-")


def check(settings: Any) -> None:
    """Check values against what `setting` declared of them; None is always taken.

    Raises:
        SettingError: a number is out of its limits, or a choice is none of those there are.
    """
    for entry, kind in declared(type(settings)):
        value = getattr(settings, entry.name)
        if value is None or "refusal" not in entry.metadata:
            continue
        if entry.metadata["is_size"] and not isinstance(value, int):
            raise SettingError(
                f"{entry.name} {value!r} is not possible: a whole number of bytes is wanted, such as 10**9"
            )
        limits = {name: entry.metadata[name] for name in ("minimum", "maximum", "below")}
        allowed = choices(kind)
        if (allowed and value not in allowed) or not _within(value, **limits):
            numbers = {"value": value, **limits}
            if entry.metadata["is_size"]:
                numbers = {name: None if number is None else written_size(number) for name, number in numbers.items()}
            told = {"name": entry.name, "choices": ", ".join(allowed)}
            raise SettingError(entry.metadata["refusal"].format(**told, **numbers))


def _within(value: Any, minimum: float | None, maximum: float | None, below: float | None) -> bool:
    """Whether a number is finite and within its limits, of which None is none."""
    if (minimum, maximum, below) == (None, None, None):
        return True
    least = -math.inf if minimum is None else minimum
    most = math.inf if maximum is None else maximum
    finite = -math.inf < value < math.inf  # math.isfinite fails for whole numbers above all floats
    return bool(finite and least <= value <= most and (below is None or value < below))


def is_nested(kind: Any) -> bool:
    """Whether a setting's type is a dataclass of settings itself."""
    return isinstance(kind, type) and is_dataclass(kind)


def settings_from(cls: type[Any], values: Mapping[str, Any]) -> Any:
    """A dataclass of settings, of values by name; those of a dataclass within it are among them."""
    found: dict[str, Any] = {}
    for entry, kind in declared(cls):
        if is_nested(kind):
            found[entry.name] = settings_from(kind, values)
        elif entry.name in values:
            found[entry.name] = values[entry.name]
    return cls(**found)


def recorded(settings: Any) -> dict[str, Any]:
    """Name and value of every setting, but of those that are recorded only where they differ from their default."""
    silent = {e.name: e.default for e in fields(settings) if not e.metadata.get("records_default", True)}
    return {name: value for name, value in asdict(settings).items() if name not in silent or value != silent[name]}


def deciding(settings: Any) -> dict[str, Any]:
    """Name and value of every setting on which the result depends."""
    found = [entry for entry, _ in declared(type(settings)) if entry.metadata.get("decides", True)]
    return {entry.name: getattr(settings, entry.name) for entry in found}
