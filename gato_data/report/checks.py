"""The checks behind the quality report; each yields what it found, whatever the thresholds are."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gato_data.printable import counted, real, share
from gato_data.report.account import unknown_share
from gato_data.report.actions import ActionSample
from gato_data.report.dataset import DatasetSummary
from gato_data.report.episodes import EpisodeList
from gato_data.report.fields import full_name
from gato_data.report.round_trip import round_trip
from gato_schemas.statistics import FieldStatistics

MIN_VALUES = 1000
"""Fewer values of a field say nothing about the bins that it uses."""
MIN_TIMESTEPS = 100
MIN_EPISODES = 20
FAR_OUT = 3.0
"""An outlier lies more than this many interquartile ranges outside the quartiles."""


class Measurement(NamedTuple):
    """What a check found: its threshold's name, where, how much, and in words."""

    check: str
    where: str
    measure: float
    message: str


def run(summary: DatasetSummary, episodes: EpisodeList, actions: Mapping[str, ActionSample]) -> Iterator[Measurement]:
    """Everything that any check finds."""
    yield from _of_folder(summary)
    yield from _of_fields(summary)
    yield from _of_actions(actions)
    yield from _of_copies(episodes)
    yield from _of_episodes(episodes)


def _of_folder(summary: DatasetSummary) -> Iterator[Measurement]:
    manifest = summary.manifest
    if summary.missing:
        yield Measurement("missing", manifest.name, len(summary.missing), "; ".join(summary.missing[:3]))
    if manifest.dead_letters:
        kept = sum(split.totals.episodes for split in manifest.splits.values())
        part = manifest.dead_letters / (manifest.dead_letters + kept)
        message = f"{counted(manifest.dead_letters, 'episode')} left out, dead_letters.jsonl says why"
        yield Measurement("left_out", manifest.name, part, message)
    unknown, texts = unknown_share(manifest)
    if unknown:
        message = (
            f"{share(unknown, texts)} of the text tokens are no piece of the text model: their characters are lost"
        )
        yield Measurement("unknown", manifest.name, unknown / texts, message)


def _of_fields(summary: DatasetSummary) -> Iterator[Measurement]:
    manifest = summary.manifest
    rows = {(row.task, row.role, row.field): row for row in manifest.statistics}
    described = {(task, field.role, field.name): field for task, fields in summary.fields.items() for field in fields}
    for key, row in sorted(rows.items()):
        if key not in described or row.modality == "text":
            continue
        where = f"{row.task} {full_name(row.role, row.field)}"
        yield from _constant(where, row)
        if row.nan:
            yield Measurement("nan", where, row.nan, f"{counted(row.nan, 'NaN value')}")
        if saturated := described[key].saturated:
            message = f"{share(saturated, 1)} of the values lie outside the range of the ids"
            yield Measurement("saturated", where, saturated, message)
        if row.modality == "continuous":
            yield from _resolution(summary, where, row)


def _constant(where: str, row: FieldStatistics) -> Iterator[Measurement]:
    still = [i for i, (low, high) in enumerate(zip(row.low, row.high, strict=True)) if low == high]
    if row.count < 2 or not still:
        return
    values = len(row.low)
    if len(still) == values:
        message = f"always {real(row.low[0])}" if values == 1 else f"none of its {values} elements ever changes"
    else:
        named = ", ".join(map(str, still[:8])) + (", ..." if len(still) > 8 else "")
        message = f"{len(still)} of {values} elements never change, at {named}"
    yield Measurement("constant", where, len(still) / values, message)


def _resolution(summary: DatasetSummary, where: str, row: FieldStatistics) -> Iterator[Measurement]:
    task = summary.manifest.tasks[row.task]
    named = {field.name: field for field in (task.actions if row.role == "action" else task.observations)}
    trip = round_trip(named[row.field], row, is_action=row.role == "action", manifest=summary.manifest)
    if trip is not None and trip.resolution is not None:
        element = f"at element {trip.element}, " if len(row.low) > 1 else ""
        message = f"{element}a bin is {real(2 * trip.resolution, 2)} standard deviations wide"
        yield Measurement("coarse", where, trip.resolution, message)
    used = int(row.bins or "0", 16).bit_count()
    if used and row.count * len(row.low) >= MIN_VALUES:
        yield Measurement("few_bins", where, 1 / used, f"{counted(used, 'id')} of 1,024 used")


def _of_actions(samples: Mapping[str, ActionSample]) -> Iterator[Measurement]:
    for task, sample in sorted(samples.items()):
        if sample.timesteps < MIN_TIMESTEPS or not sample.commonest:
            continue
        (_, times), different = sample.commonest.most_common(1)[0], len(sample.commonest)
        if different > 1:
            part = f"{share(times, sample.timesteps)} of {sample.timesteps:,} sampled timesteps have the same action"
            yield Measurement("idle", task, times / sample.timesteps, part)


def _of_copies(episodes: EpisodeList) -> Iterator[Measurement]:
    if not len(episodes):
        return
    _, first, inverse, counts = np.unique(episodes.hash, return_index=True, return_inverse=True, return_counts=True)
    if copies := len(episodes) - len(counts):
        one = int(np.flatnonzero(counts[inverse] > 1)[0])
        other = int(np.flatnonzero(inverse == inverse[one])[1])
        example = f"{episodes.place(other)} and {episodes.place(one)} are the same"
        message = f"{counted(copies, 'exact copy', 'exact copies')}, {example}"
        yield Measurement("duplicates", "all", copies / len(episodes), message)
    crossing = np.flatnonzero(episodes.split != episodes.split[first][inverse])
    if len(crossing):
        message = (
            f"{counted(len(crossing), 'episode')} also in another split, such as {episodes.place(int(crossing[0]))}"
        )
        yield Measurement("leaks", "all", len(crossing), message)


def _of_episodes(episodes: EpisodeList) -> Iterator[Measurement]:
    if untrained := int((episodes.loss_tokens == 0).sum()):
        one = int(np.flatnonzero(episodes.loss_tokens == 0)[0])
        message = f"{counted(untrained, 'episode')} without a token in the loss, such as {episodes.place(one)}"
        yield Measurement("untrained", "all", untrained, message)
    for number, task in enumerate(episodes.tasks):
        mine = np.flatnonzero(episodes.task == number)
        if short := int((episodes.timesteps[mine] == 1).sum()):
            message = f"{share(short, len(mine))} of the episodes are one timestep long: are episodes cut apart?"
            yield Measurement("one_step", task, short / len(mine), message)
        length = "timesteps" if episodes.timesteps[mine].any() else "tokens"
        for check, unit, values in (
            ("length_outliers", length, getattr(episodes, length)[mine].astype(np.float64)),
            ("return_outliers", "return", episodes.episode_return[mine].astype(np.float64)),
        ):
            yield from _outliers(check, task, unit, values, mine, episodes)


def _outliers(
    check: str, task: str, unit: str, values: NDArray[np.float64], mine: NDArray[np.int64], episodes: EpisodeList
) -> Iterator[Measurement]:
    finite = np.isfinite(values)
    values, mine = values[finite], mine[finite]
    if len(values) < MIN_EPISODES:
        return
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    spread = max(high - low, 0.1 * abs(median))
    far = np.maximum(low - values, values - high)
    outside = far > FAR_OUT * spread
    if not spread or not outside.any():
        return
    worst = int(far.argmax())
    worth = f"{real(values[worst])} {unit}" if unit != "return" else f"a return of {real(values[worst])}"
    message = f"{counted(int(outside.sum()), 'episode')} far from the median of {real(float(median))}: {worth}"
    yield Measurement(check, task, float(outside.mean()), f"{message} in {episodes.place(int(mine[worst]))}")
