"""Continuous values <-> bins: mu-law companding, clipping and 1024 uniform bins (paper appendix B).

    F(x) = sgn(x) log(100 |x| + 1) / log(100 * 256 + 1), clipped to [-1, 1], cut into 1024 bins of equal width

A bin is *defined* by its edges in the space of the raw values: edge k is the value whose companded form is
2 k / 1024 - 1. The edges are computed once with 50 decimal digits, so the same value falls into the same bin on every
processor, whatever its logarithm. A value on an edge belongs to the bin above; x >= 1 belongs to the last bin.

OpenVLA's 256 bins of actions, "openvla-256", are those of its `ActionTokenizer`: 256 edges, `linspace(-1, 1, 256)`,
make 255 bins of equal width and a last one that x >= 1 has alone, and that decodes to the centre of the bin before.
"""

import math
from decimal import Decimal, localcontext
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, SettingError
from gato_data.tokenizers.places import describe_place, first_place
from gato_data.vocabulary import CONTINUOUS_BINS
from gato_schemas.episode import Bins, Bound

MU = 100
M = 256

_CELL_SHIFT = 46  # bits of a float64 that do not matter to its cell


@cache
def observation_edges() -> NDArray[np.float64]:
    """The 1023 inner edges of companded values, float64, ascending: the inverse of F at 2 k / 1024 - 1."""
    upper = _expanded(range(2, CONTINUOUS_BINS, 2))
    return _constant(np.array([-x for x in reversed(upper)] + [0.0] + upper))


@cache
def action_edges() -> NDArray[np.float64]:
    """The 1023 inner edges of values that are not companded, float64: 2 k / 1024 - 1, exact."""
    return _constant(np.arange(1, CONTINUOUS_BINS, dtype=np.float64) * (2 / CONTINUOUS_BINS) - 1)


@cache
def _openvla_edges() -> NDArray[np.float64]:
    """The 256 edges of OpenVLA's bins, float64: each bin begins at one, the last one is x = 1 alone."""
    return _constant(np.linspace(-1, 1, num_bins("openvla-256")))


def num_bins(bins: Bins) -> int:
    """How many bins there are."""
    return CONTINUOUS_BINS if bins == "1024" else 256


def bin_ends(compand: bool, bins: Bins = "1024") -> NDArray[np.float64]:
    """Where bins begin and the last one ends, float64 (bins + 1,); the outermost are those of `value_range`."""
    if bins == "openvla-256":
        return np.append(_openvla_edges(), 1.0)
    lowest, highest = value_range(compand)
    return np.concatenate([[lowest], observation_edges() if compand else action_edges(), [highest]])


@cache
def _openvla_centres() -> NDArray[np.float64]:
    edges = _openvla_edges()
    centres = (edges[:-1] + edges[1:]) / 2
    return _constant(np.append(centres, centres[-1]))


@cache
def _centres(compand: bool) -> NDArray[np.float64]:
    if compand:
        upper = _expanded(range(1, CONTINUOUS_BINS, 2))
        return _constant(np.array([-x for x in reversed(upper)] + upper))
    return _constant((2 * np.arange(CONTINUOUS_BINS) + 1) / CONTINUOUS_BINS - 1)


def _expanded(numerators: range) -> list[float]:
    """The values whose companded form is n / 1024, correctly rounded."""
    with localcontext() as context:
        context.prec = 50
        log_base = (Decimal(M * MU) + 1).ln()
        return [float(((log_base * n / CONTINUOUS_BINS).exp() - 1) / MU) for n in numerators]


def _constant(values: NDArray[np.float64]) -> NDArray[np.float64]:
    values.flags.writeable = False
    return values


@cache
def _cells() -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """For every pattern of a float64's upper 18 bits: the bin of the least such value, and the edge above that bin.

    Values that share sign, exponent and six bits of mantissa lie within 1/64 of each other. Edges are further apart
    than that (a factor of 1.02 at least), so at most one runs through a cell, and one comparison finds the bin.
    """
    patterns = np.arange(1 << (64 - _CELL_SHIFT), dtype=np.uint64) << np.uint64(_CELL_SHIFT)
    ends = np.stack([patterns, patterns | np.uint64((1 << _CELL_SHIFT) - 1)]).view(np.float64)
    ends[np.isnan(ends)] = np.inf  # the cells of infinity hold NaN too
    negative = len(patterns) // 2
    ends[:, negative:] = -np.abs(ends[:, negative:])
    edges = observation_edges()
    least = np.searchsorted(edges, ends.min(axis=0), side="right")
    if (np.searchsorted(edges, ends.max(axis=0), side="right") - least).max() > 1:
        raise AssertionError("two edges run through one cell")
    return least.astype(np.int32), np.append(edges, np.nan)[least]  # nothing is above NaN


def value_range(compand: bool) -> tuple[float, float]:
    """Lowest and highest value that the bins tell apart: +-256 companded, +-1 otherwise."""
    return (-float(M), float(M)) if compand else (-1.0, 1.0)


def rescale(values: NDArray[np.floating], low: Bound, high: Bound) -> NDArray[np.float64]:
    """Map [low, high] to [-1, 1], float64; each end is one number, or one of every element of a value.

    Raises:
        SettingError: `low` is not below `high`.
    """
    values = np.asarray(values, np.float64)
    lower, upper = ends(values.shape, low, high)
    with np.errstate(over="ignore"):  # what is beyond float64 is beyond the range
        span = upper - lower
        if not (span > 0).all() or not np.isfinite(span).all():
            raise SettingError(f"the range {low}:{high} is empty or endless: its low end must be below its high end")
        return (values - lower) * (2 / span) - 1


def ends(shape: tuple[int, ...], low: Bound, high: Bound) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two ends of a range, float64, to go with values (T, *element) or one value (*element) of that shape.

    Raises:
        SettingError: there are as many ends as neither elements nor one.
    """
    lower, upper = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if lower.ndim == 0 and upper.ndim == 0:
        return lower, upper
    elements = shape[1:] if math.prod(shape[1:]) == max(lower.size, upper.size) else shape
    for end in (lower, upper):
        if end.size not in (1, math.prod(elements)):
            raise SettingError(f"a range has {end.size} ends for values of shape {shape}: one, or one per element")
    lower, upper = (end.reshape(elements if end.size > 1 else ()) for end in (lower, upper))
    return lower, upper


def encode(
    values: NDArray[np.floating],
    *,
    compand: bool,
    field: str = "value",
    low: Bound | None = None,
    high: Bound | None = None,
    bins: Bins = "1024",
) -> NDArray[np.int32]:
    """Bins of values, int32 in [0, 1024) or [0, 256), same shape; values outside fall into the outermost bins.

    Args:
        values: (T, ...), finite.
        compand: whether bins are uniform in F (observations) or in the values themselves (actions).
        field: name in the error.
        low, high: the range that is mapped to [-1, 1] first, if any.
        bins: how [-1, 1] is cut; nothing is companded but for the paper's.

    Raises:
        EpisodeError: a value is NaN or infinite (says where), or no number.
        SettingError: `low` is not below `high`.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise EpisodeError(f"{field} is of type {values.dtype}: numbers are wanted")
    numbers: NDArray[np.float64] = values.astype(np.float64, order="C", copy=False)
    finite = np.isfinite(numbers)
    if not finite.all():
        place = first_place(~finite)
        raise EpisodeError(f"{field} is {values[place]}{describe_place(place)}: a finite number is wanted")
    if low is not None and high is not None:
        numbers = rescale(numbers, low, high)
    if bins == "openvla-256":
        return (np.digitize(np.clip(numbers, -1, 1), _openvla_edges()) - 1).astype(np.int32)
    return _companded_bins(numbers) if compand else _uniform_bins(numbers)


def _companded_bins(values: NDArray[np.float64]) -> NDArray[np.int32]:
    """Number of edges at or below each value: what `searchsorted(edges, values, "right")` says, 25 times faster."""
    least, edge_above = _cells()
    cell = (values.view(np.uint64) >> np.uint64(_CELL_SHIFT)).view(np.int64)
    bins = least.take(cell, mode="clip")
    bins += values >= edge_above.take(cell, mode="clip")
    return bins


def _uniform_bins(values: NDArray[np.float64]) -> NDArray[np.int32]:
    """The same for `action_edges`: scaling by a power of two is exact, so the floor is."""
    half = CONTINUOUS_BINS // 2
    return np.floor(np.clip(values, -1, 1 - 1 / half) * half).astype(np.int32) + np.int32(half)


def decode(
    numbers: NDArray[np.integer],
    *,
    compand: bool,
    low: Bound | None = None,
    high: Bound | None = None,
    bins: Bins = "1024",
) -> NDArray[np.float64]:
    """Centres of bins, by their numbers, float64.

    At most 1/1024 from the value for actions, relative to F for observations. [-1, 1] is mapped
    back to [low, high], if there is such a range.
    """
    centres = (_openvla_centres() if bins == "openvla-256" else _centres(compand))[np.asarray(numbers)]
    return centres if low is None or high is None else unscale(centres, low, high)


def unscale(values: NDArray[np.float64], low: Bound, high: Bound) -> NDArray[np.float64]:
    """Map [-1, 1] back to [low, high]: the inverse of `rescale`."""
    lower, upper = ends(values.shape, low, high)
    return (values + 1) * ((upper - lower) / 2) + lower
