"""Continuous values <-> bins: mu-law companding, clipping and 1024 uniform bins (paper appendix B).

    F(x) = sgn(x) log(100 |x| + 1) / log(100 * 256 + 1), clipped to [-1, 1], cut into 1024 bins of equal width

A bin is *defined* by its edges in the space of the raw values: edge k is the value whose companded form is
2 k / 1024 - 1. The edges are computed once with 50 decimal digits, so the same value falls into the same bin on every
processor, whatever its logarithm. A value on an edge belongs to the bin above; x >= 1 belongs to the last bin.
"""

from decimal import Decimal, localcontext
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, SettingError
from gato_data.vocabulary import CONTINUOUS_BINS

MU = 100
M = 256


@cache
def observation_edges() -> NDArray[np.float64]:
    """The 1023 inner edges of companded values, float64, ascending: the inverse of F at 2 k / 1024 - 1."""
    half = CONTINUOUS_BINS // 2
    with localcontext() as context:
        context.prec = 50
        log_base = (Decimal(M * MU) + 1).ln()
        upper = [float(((log_base * k / half).exp() - 1) / MU) for k in range(1, half)]
    edges = np.array([-x for x in reversed(upper)] + [0.0] + upper)
    edges.flags.writeable = False
    return edges


@cache
def action_edges() -> NDArray[np.float64]:
    """The 1023 inner edges of values that are not companded, float64: 2 k / 1024 - 1, exact."""
    edges = np.arange(1, CONTINUOUS_BINS) * (2 / CONTINUOUS_BINS) - 1
    edges.flags.writeable = False
    return edges


@cache
def _centres(compand: bool) -> NDArray[np.float64]:
    y = (2 * np.arange(CONTINUOUS_BINS) + 1) / CONTINUOUS_BINS - 1
    if compand:
        y = np.sign(y) * (np.power(float(M * MU + 1), np.abs(y)) - 1) / MU
    y.flags.writeable = False
    return y


def value_range(compand: bool) -> tuple[float, float]:
    """Lowest and highest value that the bins tell apart: +-256 companded, +-1 otherwise."""
    return (-float(M), float(M)) if compand else (-1.0, 1.0)


def rescale(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.float64]:
    """Map [low, high] to [-1, 1], float64.

    Raises:
        SettingError: `low` is not below `high`.
    """
    if not low < high:
        raise SettingError(f"the range {low}:{high} is empty: its low end must be below its high end")
    return (np.asarray(values, np.float64) - low) * (2 / (high - low)) - 1


def encode(values: NDArray[np.floating], *, compand: bool, field: str = "value") -> NDArray[np.int32]:
    """Bins of values, int32 in [0, 1024), same shape; values outside the range fall into the outermost bins.

    Raises:
        EpisodeError: a value is NaN or infinite; says where.
    """
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        where = f" at timestep {place[0]}" if place else ""
        element = f", element {list(place[1:])}" if len(place) > 1 else ""
        raise EpisodeError(f"{field} is {values[place]}{where}{element}: a finite number is wanted")
    edges = observation_edges() if compand else action_edges()
    return np.searchsorted(edges, values, side="right").astype(np.int32)


def decode(bins: NDArray[np.integer], *, compand: bool) -> NDArray[np.float64]:
    """Centres of bins, float64: at most 1/1024 from the value for actions, relative to F for observations."""
    return _centres(compand)[np.asarray(bins)]


def unscale(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Map [-1, 1] back to [low, high]: the inverse of `rescale`."""
    return (values + 1) * ((high - low) / 2) + low
