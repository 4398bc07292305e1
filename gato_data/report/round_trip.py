"""What a value loses on its way into an id and back: the width of the bins where a field's values lie."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gato_data.tokenizers import continuous
from gato_schemas.dataset import Manifest
from gato_schemas.episode import Bins, Field
from gato_schemas.statistics import FieldStatistics


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """Of one continuous field, in its own units.

    Attributes:
        worst: the largest |value - decoded value| that any of its values can have, clipping included.
        resolution: half a bin at one standard deviation from the mean, over that deviation, in its worst element;
            0.5 means that two values a deviation apart may share a bin. None where nothing varies.
        element: number of that element.
    """

    worst: float
    resolution: float | None
    element: int


def round_trip(field: Field, row: FieldStatistics, *, is_action: bool, manifest: Manifest) -> RoundTrip | None:
    """What the tokenizer's bins do to a field, from the statistics of its raw values; None where there are none."""
    if field.modality != "continuous" or not row.count or not row.mean:
        return None
    everywhere = bool(manifest.tokenization.get("compand_observations", True))
    compand = everywhere and field.compand and not is_action
    low, high, mean = (np.array(values, np.float64) for values in (row.low, row.high, row.mean))
    std = np.sqrt(np.maximum(np.array(row.m2, np.float64), 0) / row.count)
    if not np.isfinite([low, high, mean, std]).all():
        return None
    ends = np.concatenate([_error(low, field, compand), _error(high, field, compand)])
    inside = np.maximum(*(_half_bin(np.clip(mean + s * std, low, high), field, compand) for s in (-1, 1)))
    varies = std > 0
    ratio = np.divide(inside, std, out=np.zeros_like(std), where=varies)
    element = int(ratio.argmax())
    return RoundTrip(float(ends.max()), float(ratio[element]) if varies.any() else None, element)


def _scaled(values: NDArray[np.float64], field: Field) -> tuple[NDArray[np.float64], NDArray[np.float64] | float]:
    """Values as the tokenizer bins them, and the width in raw units of one unit of those."""
    if field.low is None or field.high is None:
        return values, 1.0
    lower, upper = continuous.ends(values.shape, field.low, field.high)
    return continuous.rescale(values, field.low, field.high), (upper - lower) / 2


def _edges(bins: NDArray[np.int32], rule: Bins, compand: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    edges = continuous.bin_ends(compand, rule)
    return edges[bins], edges[bins + 1]


def _half_bin(values: NDArray[np.float64], field: Field, compand: bool) -> NDArray[np.float64]:
    scaled, unit = _scaled(values, field)
    bins = continuous.encode(scaled, compand=compand, bins=field.binning)
    lower, upper = _edges(bins, field.binning, compand)
    return (upper - lower) / 2 * unit


def _error(values: NDArray[np.float64], field: Field, compand: bool) -> NDArray[np.float64]:
    """The worst error in the bins of the values: the far edge from the centre, or the value itself beyond the range."""
    scaled, unit = _scaled(values, field)
    bins = continuous.encode(scaled, compand=compand, bins=field.binning)
    centre = continuous.decode(bins, compand=compand, bins=field.binning)
    lower, upper = _edges(bins, field.binning, compand)
    worst: NDArray[np.float64] = np.maximum.reduce([upper - centre, centre - lower, np.abs(scaled - centre)])
    return worst * unit
