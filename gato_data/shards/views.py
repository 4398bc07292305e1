"""Views: which episodes of a dataset are read, told by what its indexes say of them; nothing is copied.

breakout[task=pong|freeway,return>=20]      episodes of two tasks with a return of 20 or more
breakout[share=0:0.1]                       a tenth of them, by their hash
breakout[not-in=pong]                       those that the dataset pong of the mixture does not have
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.closest import did_you_mean
from gato_data.errors import MixtureError
from gato_schemas.dataset import Manifest
from gato_schemas.index import ShardIndex

NAMED = ("task", "agent")
"""What is compared with names."""
MEASURED = ("return", "length", "tokens", "loss-tokens")
"""What is compared with numbers: the sum of rewards, timesteps, tokens, and tokens that are trained on."""
TERMINAL, SHARE, NOT_IN = "terminal", "share", "not-in"
_COLUMNS = (*NAMED, *MEASURED, TERMINAL, SHARE, NOT_IN)
_OPERATORS = {
    "=": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
_CONDITION = re.compile(r'\s*([\w-]+)\s*([=!<>]+)\s*((?:"[^"]*"|[^,"])*)')
_VALUE = re.compile(r'"([^"]*)"|([^|"]+)')
_EXAMPLE = "task=pong,return>=20"


@dataclass(frozen=True, slots=True)
class Condition:
    """One of the conditions of a view.

    Attributes:
        column: what is compared: one of `NAMED`, of `MEASURED`, or "terminal", "share", "not-in".
        operator: how.
        values: with what; names of which one has to fit, two ends of a share, or one number.
    """

    column: str
    operator: str
    values: tuple[str | float, ...]

    def __str__(self) -> str:
        joint = ":" if self.column == SHARE else "|"
        return f"{self.column}{self.operator}{joint.join(map(_written, self.values))}"


@dataclass(frozen=True, slots=True)
class View:
    """The episodes of a dataset that meet all conditions; all of them where there is none."""

    conditions: tuple[Condition, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "View":
        """Read conditions as they stand between brackets, separated by commas.

        Raises:
            MixtureError: one is none.
        """
        found, at = [], 0
        while at < len(text.rstrip()):
            match = _CONDITION.match(text, at)
            if match is None or text[match.end() : match.end() + 1] not in ("", ","):
                raise MixtureError(f"{text[at:].strip()!r} is no condition of a view: write it as in {_EXAMPLE}")
            found.append(_condition(match[1], match[2], match[3].strip(), match[0].strip()))
            at = match.end() + 1
        return cls(tuple(found))

    def __str__(self) -> str:
        return ",".join(map(str, self.conditions))

    @property
    def others(self) -> tuple[str, ...]:
        """Names of the datasets whose episodes are left out."""
        return tuple(str(name) for each in self.conditions if each.column == NOT_IN for name in each.values)

    def check(self, manifest: Manifest) -> None:
        """Check that the names are those of a dataset.

        Raises:
            MixtureError: a task or an agent is unknown.
        """
        for each in self.conditions:
            known = {"task": list(manifest.tasks), "agent": manifest.agents}.get(each.column, [])
            for name in each.values if each.column in NAMED else ():
                if name not in known:
                    hint = did_you_mean(str(name), known)
                    raise MixtureError(f"dataset {manifest.name} has no {each.column} {name!r}{hint}")

    def has_task(self, task: str) -> bool:
        """Whether episodes of a task may be in the view, by what it says of tasks."""
        said = (each for each in self.conditions if each.column == "task")
        return all((task in each.values) == (each.operator == "=") for each in said)

    def records(self, index: ShardIndex, others: NDArray[np.uint64] | None = None) -> NDArray[np.bool_]:
        """Which records of a shard belong to episodes of the view.

        Args:
            index: of the shard, R records.
            others: sorted hashes of the episodes that `not-in` leaves out.

        Returns:
            bool (R,).
        """
        first = np.flatnonzero(index.chunk == 0)
        kept = np.ones(len(first), np.bool_)
        for condition in self.conditions:
            kept &= _meets(condition, index, first, others)
        return np.repeat(kept, np.diff(np.append(first, len(index))))


WHOLE = View()
"""All episodes."""


def split_names(text: str) -> list[str]:
    """The parts between commas, but for those in the brackets of a view, whose quoted names may hold brackets too."""
    parts, start, is_view, is_quoted = [], 0, False, False
    for at, letter in enumerate(text):
        if is_quoted or (is_view and letter == '"'):
            is_quoted ^= letter == '"'
        elif letter in "[]":
            is_view = letter == "["
        elif letter == "," and not is_view:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def split_name(text: str) -> tuple[str, View]:
    """The name of a dataset, and the view that stands in brackets behind it.

    Raises:
        MixtureError: the bracket is not closed, or holds no conditions.
    """
    name, bracket, rest = text.partition("[")
    if not bracket:
        return name.strip(), WHOLE
    if not rest.rstrip().endswith("]"):
        raise MixtureError(f"{text!r} has a bracket that is not closed: write a view as in {name}[{_EXAMPLE}]")
    return name.strip(), View.parse(rest.rstrip()[:-1])


def joined_name(name: str, view: View) -> str:
    """The name of a dataset with its view, by which a mixture calls it."""
    return f"{name}[{view}]" if view.conditions else name


def _condition(column: str, operator: str, value: str, text: str) -> Condition:
    if column not in _COLUMNS:
        if column == "success":
            raise MixtureError(
                "an index does not say whether an episode succeeded: ingest with --require-success, or use return"
            )
        raise MixtureError(f"no view by {column!r}{did_you_mean(column, _COLUMNS)} There are {', '.join(_COLUMNS)}")
    if operator not in _OPERATORS:
        raise MixtureError(f"{text!r} compares by {operator!r}: one of {' '.join(_OPERATORS)} is wanted")
    values = tuple(match[1] if match[1] is not None else match[2].strip() for match in _VALUE.finditer(value))
    if column in MEASURED:
        return Condition(column, operator, (_number(value, text),))
    if column == SHARE:
        ends = tuple(map(_as_number, value.split(":")))
        if operator != "=" or len(ends) != 2 or not 0 <= ends[0] < ends[1] <= 1:
            raise MixtureError(f"{text!r} is no share: write two numbers from 0 to 1, as in share=0:0.1")
        return Condition(column, operator, ends)
    if operator not in ("=", "!=") or not all(values) or not values:
        raise MixtureError(f"{text!r} wants = or != and a name, as in task=pong")
    if column == TERMINAL and (len(values) > 1 or values[0] not in ("yes", "no")):
        raise MixtureError(f"{text!r} wants yes or no, as in terminal=yes")
    if column == NOT_IN and operator != "=":
        raise MixtureError(f"{text!r} wants =, as in not-in=pong")
    return Condition(column, operator, values)


def _number(value: str, text: str) -> float:
    number = _as_number(value)
    if not np.isfinite(number):
        several = ", and a comma between conditions" if set(value) & set("=<>") else ""
        raise MixtureError(f"{text!r} compares with {value!r}: a number is wanted{several}")
    return number


def _as_number(value: str) -> float:
    """The number that is written; not a number where it is none."""
    try:
        return float(value)
    except ValueError:
        return float("nan")


def _written(value: str | float) -> str:
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    is_plain = value == value.strip() and not set(value) & set(',|"[]') and value[:1] not in set("=!<>")
    return value if is_plain else f'"{value}"'


def _meets(
    condition: Condition, index: ShardIndex, first: NDArray[np.integer], others: NDArray[np.uint64] | None
) -> NDArray[np.bool_]:
    """Which episodes of a shard meet a condition, bool (E,)."""
    column, values = condition.column, condition.values
    if column in NAMED:
        names = index.header.tasks if column == "task" else index.header.agents
        numbers = [number for number, name in enumerate(names) if name in values]
        own = (index.task if column == "task" else index.agent)[first]
        return np.asarray(np.isin(own, numbers, invert=condition.operator == "!="))
    if column == TERMINAL:
        return np.asarray((index.is_terminal[first] != 0) == ((values[0] == "yes") == (condition.operator == "=")))
    if column == SHARE:
        place = (index.episode_hash[first] >> np.uint64(11)).astype(np.float64) / 2**53  # exact: 53 bits
        return np.asarray((place >= values[0]) & (place < values[1]))
    if column == NOT_IN:
        known = np.zeros(0, np.uint64) if others is None else others
        return np.asarray(np.isin(index.episode_hash[first], known, invert=True))
    return np.asarray(_OPERATORS[condition.operator](_measured(column, index, first), values[0]))


def _measured(column: str, index: ShardIndex, first: NDArray[np.integer]) -> NDArray[Any]:
    if column == "return":
        return np.asarray(index.episode_return[first])
    parts = {"length": index.num_timesteps, "tokens": index.num_tokens, "loss-tokens": index.loss_tokens}[column]
    return np.asarray(np.add.reduceat(parts, first, dtype=np.int64) if len(first) else np.zeros(0, np.int64))


def weights_by_name(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights whose names have their views written in one way.

    Raises:
        MixtureError: a view cannot be read, or two of them are the same.
    """
    found: dict[str, float] = {}
    for text, weight in weights.items():
        name = joined_name(*split_name(text))
        if name in found:
            raise MixtureError(f"{name} has two weights, {found[name]:g} and {weight:g}: give it one")
        found[name] = weight
    return found


def views_of(name: str, weighted: Sequence[str]) -> list[View]:
    """The views of a dataset among the names that have weights; itself whole where none of them is of it."""
    found = [view for other, view in map(split_name, weighted) if other == name]
    return found or [WHOLE]
