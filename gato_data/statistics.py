"""Mergeable counters: what the raw values of every field look like, gathered while episodes are tokenized."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gato_data.errors import FormatError
from gato_data.tokenize import TokenizeSettings, ordered
from gato_data.tokenizers import continuous
from gato_data.vocabulary import Vocabulary
from gato_schemas.account import Note
from gato_schemas.episode import Episode, EpisodeSpec, Field
from gato_schemas.sequence import POSITION_ACTION, POSITION_SEPARATOR, TokenSequence
from gato_schemas.statistics import FieldStatistics

MAX_ELEMENTS = 1024
"""A field with more elements than this is counted as one element."""

_HUGE = 1e140  # squares of values, and sums of them, stay finite


@dataclass(slots=True)
class _Moments:
    """Running moments of the elements of one field (Chan's parallel update)."""

    elements: int
    bins: NDArray[np.bool_]
    count: int = 0
    nan: int = 0
    low: NDArray[np.float64] = field(init=False)
    high: NDArray[np.float64] = field(init=False)
    mean: NDArray[np.float64] = field(init=False)
    m2: NDArray[np.float64] = field(init=False)
    saturated: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.low = np.full(self.elements, np.inf)
        self.high = np.full(self.elements, -np.inf)
        self.mean = np.zeros(self.elements)
        self.m2 = np.zeros(self.elements)
        self.saturated = np.zeros(self.elements, np.int64)

    def merge(self, count: int, low: NDArray[Any], high: NDArray[Any], mean: NDArray[Any], m2: NDArray[Any]) -> None:
        if not count:
            return
        total = self.count + count
        delta = mean - self.mean
        self.m2 += m2 + delta * delta * (self.count * count / total)
        self.mean += delta * (count / total)
        np.minimum(self.low, low, out=self.low)
        np.maximum(self.high, high, out=self.high)
        self.count = total

    def add(self, values: NDArray[np.float64]) -> None:
        """Add values (n, elements)."""
        if not len(values):
            return
        low, high = values.min(axis=0), values.max(axis=0)
        if max(-low.min(), high.max()) > _HUGE:
            values = values.clip(-_HUGE, _HUGE)
        mean = _sum(values) / len(values)
        deviation = values - mean
        self.merge(len(values), low, high, mean, _sum(np.multiply(deviation, deviation, out=deviation)))

    def add_histogram(self, histogram: NDArray[np.int64]) -> None:
        """Add pixels by how often each value occurs; exact, in whole numbers."""
        used = np.flatnonzero(histogram)
        if len(used):
            pixels = np.arange(256)
            count, total, squares = (int(histogram @ pixels**power) for power in range(3))
            m2 = (count * squares - total * total) / count
            self.merge(count, used[:1], used[-1:], np.array([total / count]), np.array([m2]))
            self.bins[used] = True


def _sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of each column of (n, elements), n > 0, by halves: no library decides in which order it adds."""
    while (half := len(values) // 2) > 0:
        odd = values[2 * half :]
        values = values[:half] + values[half : 2 * half]
        values[: len(odd)] += odd
    total: NDArray[np.float64] = values[0]
    return total


class StatisticsBuilder:
    """Statistics of every field of every task, gathered episode by episode."""

    def __init__(self, vocabulary: Vocabulary, settings: TokenizeSettings) -> None:
        self._vocabulary = vocabulary
        self._settings = settings
        self._moments: dict[tuple[str, str, str], tuple[Field, _Moments]] = {}

    def add(self, episode: Episode, spec: EpisodeSpec, sequence: TokenSequence) -> None:
        """Add the raw values of an episode and the ids they became."""
        fields = [f for f in ordered(spec.observations) if f.modality in ("discrete", "continuous")]
        ends = np.flatnonzero(sequence.position == POSITION_SEPARATOR)
        width = sum(f.num_tokens for f in fields)
        ids = sequence.tokens[ends[:, None] + np.arange(-width, 0)]
        self._add_tensors(episode.task, "observation", fields, episode.observations, ids, companded=True)
        action_width = sum(f.num_tokens for f in spec.actions)
        ids = sequence.tokens[sequence.position == POSITION_ACTION].reshape(len(ends), action_width)
        self._add_tensors(episode.task, "action", spec.actions, episode.actions, ids, companded=False)
        for image in (f for f in spec.observations if f.modality == "image"):
            if image.name in episode.histograms:
                self._of(episode.task, "observation", image).add_histogram(episode.histograms[image.name])
        for text in (f for f in spec.observations if f.modality == "text"):
            lengths = np.array([len(value) for value in episode.observations[text.name]], np.float64)
            self._of(episode.task, "observation", text).add(lengths[:, None])

    def count_nan(self, episode: Episode, spec: EpisodeSpec) -> None:
        """Count the NaNs of an episode that was left out, so that they show up in the quality report."""
        for role, fields, values in (
            ("observation", spec.observations, episode.observations),
            ("action", spec.actions, episode.actions),
        ):
            for f in (f for f in fields if f.modality == "continuous" and f.name in values):
                raw = np.asarray(values[f.name])
                if raw.dtype.kind == "f":
                    self._of(episode.task, role, f).nan += int(np.count_nonzero(np.isnan(raw)))

    def result(self) -> list[FieldStatistics]:
        """Statistics sorted by task, role and field."""
        rows = sorted(self._moments.items())
        return [_row(task, role, *entry) for (task, role, _), entry in rows]

    def _of(self, task: str, role: str, spec: Field) -> _Moments:
        key = (task, role, spec.name)
        if key not in self._moments:
            elements = spec.num_tokens if spec.modality in ("discrete", "continuous") else 1
            bins = np.zeros(256 if spec.modality == "image" else 1024, bool)
            self._moments[key] = (spec, _Moments(elements if elements <= MAX_ELEMENTS else 1, bins))
        return self._moments[key][1]

    def _add_tensors(
        self, task: str, role: str, fields: Iterable[Field], values: Any, ids: NDArray[Any], *, companded: bool
    ) -> None:
        at = 0
        for spec in fields:
            moments, width = self._of(task, role, spec), spec.num_tokens
            if not width:
                continue
            raw = np.asarray(values[spec.name], np.float64).reshape(len(ids), width)
            if spec.modality == "continuous":
                compand = companded and spec.compand and self._settings.compand_observations
                low, high = _range(spec, companded=compand)
                if (raw.min(axis=0) < low).any() or (raw.max(axis=0) > high).any():
                    outside = (raw < low) | (raw > high)
                    moments.saturated += outside.reshape(-1, moments.elements).sum(axis=0)
            moments.add(raw.reshape(-1, moments.elements))
            first, _ = self._vocabulary.id_range(spec.token_modality)
            moments.bins[ids[:, at : at + width].astype(np.int64) - first] = True
            at += width


def _range(spec: Field, *, companded: bool) -> tuple[Any, Any]:
    """Lowest and highest value that can be told apart: of all elements, or (elements,) of each."""
    if spec.low is not None and spec.high is not None:
        return np.asarray(spec.low), np.asarray(spec.high)
    return continuous.value_range(companded)


def _row(task: str, role: str, spec: Field, moments: _Moments) -> FieldStatistics:
    bitmap = int.from_bytes(np.packbits(moments.bins, bitorder="little").tobytes(), "little")
    seen = moments.count > 0
    return FieldStatistics(
        task=task,
        field=spec.name,
        role=role,
        modality=spec.modality,
        count=moments.count,
        nan=moments.nan,
        low=moments.low.tolist() if seen else [],
        high=moments.high.tolist() if seen else [],
        mean=moments.mean.tolist() if seen else [],
        m2=moments.m2.tolist() if seen else [],
        saturated=moments.saturated.tolist(),
        bins=f"{bitmap:x}",
    )


def merge_statistics(rows: Iterable[FieldStatistics]) -> list[FieldStatistics]:
    """Sum statistics of many shards, in the order given; sorted by task, role and field.

    Raises:
        FormatError: rows of one field have different numbers of elements.
    """
    merged: dict[tuple[str, str, str], tuple[FieldStatistics, _Moments]] = {}
    for row in rows:
        key = (row.task, row.role, row.field)
        if key not in merged:
            merged[key] = (row, _Moments(len(row.saturated), np.zeros(0, bool)))
        first, total = merged[key]
        lists = (row.low, row.high, row.mean, row.m2)
        if {len(row.saturated), *(map(len, lists) if row.count else ())} != {total.elements}:
            raise FormatError(f"statistics of {row.task} {row.role} {row.field} differ in their number of elements")
        total.nan += row.nan
        total.saturated += np.array(row.saturated, np.int64)
        total.merge(row.count, *(np.array(values, np.float64) for values in lists))
        merged[key] = (_with_bins(first, row), total)
    return [_merged_row(row, total) for _, (row, total) in sorted(merged.items())]


def _with_bins(first: FieldStatistics, row: FieldStatistics) -> FieldStatistics:
    return msgspec.structs.replace(first, bins=f"{int(first.bins, 16) | int(row.bins, 16):x}")


def _merged_row(row: FieldStatistics, total: _Moments) -> FieldStatistics:
    seen = total.count > 0
    return msgspec.structs.replace(
        row,
        count=total.count,
        nan=total.nan,
        low=total.low.tolist() if seen else [],
        high=total.high.tolist() if seen else [],
        mean=total.mean.tolist() if seen else [],
        m2=total.m2.tolist() if seen else [],
        saturated=total.saturated.tolist(),
    )


def clipped_notes(rows: Iterable[FieldStatistics]) -> Iterator[Note]:
    """A line of the account for every field with values outside the range that the tokenizer can tell apart."""
    for row in rows:
        if clipped := sum(row.saturated):
            yield Note("clipped", f"values of {row.role} {row.field} of task {row.task} lie outside its range", clipped)
