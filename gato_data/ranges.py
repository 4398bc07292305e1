"""The range of every element of a field over many episodes: what `--action-range minmax|quantile` maps to [-1, 1].

Minimum and maximum merge exactly. For quantiles, values are counted by the upper 20 bits of their float32 form: sign,
exponent and 11 bits of the fraction, which tells values apart that differ by one part in 2048. Counts add up, so the
result does not depend on how episodes are spread over parts or in which order they come.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from gato_schemas.episode import Field

RangeKind: TypeAlias = Literal["minmax", "quantile"]
EXCLUDED = 100
"""A quantile range leaves out at most one value in so many at either end."""
_DROPPED_BITS = 12
_SIGN = np.uint32(1 << 31)
_PENDING = 1 << 20


def range_text(field: Field) -> str:
    """The range that is mapped to [-1, 1], such as "-1:1", or of each element; empty where there is none."""
    if field.low is None or field.high is None:
        return ""
    lows = field.low if isinstance(field.low, tuple) else (field.low,)
    highs = field.high if isinstance(field.high, tuple) else (field.high,)
    return " ".join(f"{low:.6g}:{high:.6g}" for low, high in zip(lows, highs, strict=True))


class ElementRange(msgspec.Struct, frozen=True, array_like=True):
    """Of one element: the lowest and highest value (None where there was none), and how often each key occurs.

    `keys` is ascending; it and `counts` are empty where quantiles were not asked for.
    """

    low: float | None = None
    high: float | None = None
    keys: list[int] = []
    counts: list[int] = []


class RangeBuilder:
    """Gathers the ranges of a field with E elements, row-major."""

    def __init__(self, elements: int, *, quantiles: bool) -> None:
        self._low = np.full(elements, np.inf)
        self._high = np.full(elements, -np.inf)
        self._counts = [_KeyCounts() for _ in range(elements)] if quantiles else []

    def add(self, values: NDArray[Any]) -> None:
        """Add values (T, ...) of E elements; those that are not finite do not count."""
        rows = np.asarray(values, np.float64).reshape(-1, len(self._low))
        if not rows.size:
            return
        finite = np.isfinite(rows)
        np.minimum(self._low, np.where(finite, rows, np.inf).min(axis=0), out=self._low)
        np.maximum(self._high, np.where(finite, rows, -np.inf).max(axis=0), out=self._high)
        for number, counts in enumerate(self._counts):
            counts.add(_keys(rows[finite[:, number], number]))

    def result(self) -> list[ElementRange]:
        """One range per element."""
        found = []
        for number, (low, high) in enumerate(zip(self._low.tolist(), self._high.tolist(), strict=True)):
            keys, counts = self._counts[number].settled() if self._counts else ([], [])
            found.append(ElementRange(low, high, keys, counts) if low <= high else ElementRange())
        return found


class _KeyCounts:
    """How often every key occurs."""

    def __init__(self) -> None:
        self._keys = np.zeros(0, np.uint32)
        self._counts = np.zeros(0, np.int64)
        self._pending: list[NDArray[np.uint32]] = []
        self._held = 0

    def add(self, keys: NDArray[np.uint32]) -> None:
        self._pending.append(keys)
        self._held += len(keys)
        if self._held > _PENDING:
            self._settle()

    def settled(self) -> tuple[list[int], list[int]]:
        self._settle()
        return self._keys.tolist(), self._counts.tolist()

    def _settle(self) -> None:
        keys = np.concatenate([self._keys, *self._pending])
        weights = np.concatenate([self._counts, np.ones(self._held, np.int64)])
        self._keys, self._counts = _count(keys, weights)
        self._pending, self._held = [], 0


def _count(keys: NDArray[np.uint32], weights: NDArray[np.int64]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    distinct, places = np.unique(keys, return_inverse=True)
    counts = np.zeros(len(distinct), np.int64)
    np.add.at(counts, places, weights)
    return distinct, counts


def _keys(values: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Keys of finite values, ordered as the values are."""
    largest = np.finfo(np.float32).max
    bits = np.clip(values, -largest, largest).astype(np.float32).view(np.uint32)
    ordered = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return (ordered >> np.uint32(_DROPPED_BITS)).astype(np.uint32)


def _value(ordered: int) -> float:
    """The float32 whose ordered bits these are."""
    bits = ordered & 0x7FFFFFFF if ordered & int(_SIGN) else ~ordered & 0xFFFFFFFF
    return float(np.array([bits], np.uint32).view(np.float32)[0])


def merge_ranges(ranges: Sequence[Sequence[ElementRange]]) -> list[ElementRange]:
    """The ranges of a field over several parts."""
    return [_merge(elements) for elements in zip(*ranges, strict=True)]


def _merge(elements: Sequence[ElementRange]) -> ElementRange:
    lows = [element.low for element in elements if element.low is not None]
    highs = [element.high for element in elements if element.high is not None]
    keys = np.concatenate([np.zeros(0, np.uint32), *(np.array(e.keys, np.uint32) for e in elements)])
    counts = np.concatenate([np.zeros(0, np.int64), *(np.array(e.counts, np.int64) for e in elements)])
    distinct, totals = _count(keys, counts)
    return ElementRange(min(lows, default=None), max(highs, default=None), distinct.tolist(), totals.tolist())


def bounds(elements: Sequence[ElementRange], kind: RangeKind) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Low and high end of every element, low < high.

    "minmax" takes all values; "quantile" leaves out at most 1 % at either end, to within one part in 2048. An element
    that never changes gets a range of its value -1 to +1, one that was never seen -1 to 1.
    """
    pairs = [_bounds(element, kind) for element in elements]
    return tuple(low for low, _ in pairs), tuple(high for _, high in pairs)


def _bounds(element: ElementRange, kind: RangeKind) -> tuple[float, float]:
    if element.low is None or element.high is None:
        return -1.0, 1.0
    low, high = element.low, element.high
    if kind == "quantile":
        before = np.cumsum(element.counts)
        total = int(before[-1])
        first = int(np.searchsorted(before, total // EXCLUDED + 1))
        last = int(np.searchsorted(before, total - total // EXCLUDED))
        low = max(low, _value(element.keys[first] << _DROPPED_BITS))
        high = min(high, _value((element.keys[last] << _DROPPED_BITS) | ((1 << _DROPPED_BITS) - 1)))
    if low < high:
        return low, high
    return low - 1, low + 1
