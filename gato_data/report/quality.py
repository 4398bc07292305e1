"""What is wrong, or may be wrong, with a dataset: findings with a measure and a threshold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import SettingError
from gato_data.report.actions import ActionSample, sample_actions
from gato_data.report.dataset import DatasetSummary
from gato_data.report.episodes import EpisodeList, list_episodes
from gato_data.report.printable import counted, printable, real, share
from gato_data.report.round_trip import round_trip
from gato_schemas.statistics import FieldStatistics

MIN_VALUES = 1000
"""Fewer values of a field say nothing about the bins that it uses."""
MIN_TIMESTEPS = 100
MIN_EPISODES = 20
FAR_OUT = 3.0
"""An outlier lies more than this many interquartile ranges outside the quartiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Above which measure a finding is a problem; below it is a notice.

    Attributes:
        missing: files that the manifest names and the folder lacks.
        left_out: share of episodes that ingest left out.
        nan: NaN values of a field (their episodes were left out).
        constant: fields, or elements of a field, whose value never changes.
        saturated: share of a field's values that the tokenizer cannot tell from the end of its range.
        few_bins: 1 over the bins that a continuous field uses: 0.05 asks for 20.
        coarse: half a bin over a field's standard deviation.
        idle: share of timesteps with the commonest action, of those sampled.
        duplicates: share of episodes that are exact copies of another one.
        leaks: episodes that are in two splits.
        untrained: episodes without a token under the loss mask.
        length_outliers, return_outliers: share of a task's episodes far outside its quartiles.
    """

    missing: float = 0
    left_out: float = 0.01
    nan: float = 0
    constant: float = 0
    saturated: float = 0.01
    few_bins: float = 0.05
    coarse: float = 0.25
    idle: float = 0.9
    duplicates: float = 0
    leaks: float = 0
    untrained: float = 0
    length_outliers: float = 0.01
    return_outliers: float = 0.01

    @classmethod
    def parse(cls, settings: Mapping[str, float]) -> "Thresholds":
        """The defaults with some of them changed.

        Raises:
            SettingError: there is no such threshold, or it is negative or not a number.
        """
        known = [field.name for field in fields(cls)]
        for name, value in settings.items():
            if name not in known:
                raise SettingError(f"there is no threshold {printable(name)!r}: there are {', '.join(known)}")
            if not value >= 0:
                raise SettingError(f"threshold {name} is {value}: a number from 0 up is wanted")
        return cls(**settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to look at.

    Attributes:
        check: the threshold it is measured against.
        level: "problem" where `measure` is above `threshold`, else "notice".
        where: a task, a field or a place.
        message: what was found, in words.
    """

    check: str
    level: Literal["problem", "notice"]
    where: str
    measure: float
    threshold: float
    message: str


@dataclass(frozen=True, slots=True)
class Quality:
    """The findings of a dataset, problems first, and what they were drawn from."""

    findings: Sequence[Finding]
    episodes: EpisodeList
    actions: Mapping[str, ActionSample]

    @property
    def problems(self) -> int:
        """Findings above their threshold."""
        return sum(finding.level == "problem" for finding in self.findings)


def judge(summary: DatasetSummary, thresholds: Thresholds) -> Quality:
    """Look for what is wrong with a dataset; reads every index and the ids of a sample of records.

    Raises:
        FormatError: an index or a sampled record is damaged.
    """
    folder, manifest = summary.folder, summary.manifest
    episodes = list_episodes(folder, manifest)
    actions = sample_actions(folder, manifest)
    found = [
        *_of_folder(summary),
        *_of_fields(summary),
        *_of_actions(actions),
        *_of_copies(episodes),
        *_of_episodes(episodes),
    ]
    limits = asdict(thresholds)
    findings = [_graded(check, where, measure, message, limits[check]) for check, where, measure, message in found]
    return Quality(sorted(findings, key=lambda finding: finding.level != "problem"), episodes, actions)


Measured = tuple[str, str, float, str]
"""Check, where, measure, message."""


def _graded(check: str, where: str, measure: float, message: str, threshold: float) -> Finding:
    level: Literal["problem", "notice"] = "problem" if measure > threshold else "notice"
    return Finding(check=check, level=level, where=where, measure=measure, threshold=threshold, message=message)


def _of_folder(summary: DatasetSummary) -> Iterator[Measured]:
    manifest = summary.manifest
    if summary.missing:
        yield "missing", manifest.name, len(summary.missing), "; ".join(summary.missing[:3])
    if manifest.dead_letters:
        kept = sum(split.totals.episodes for split in manifest.splits.values())
        part = manifest.dead_letters / (manifest.dead_letters + kept)
        message = f"{counted(manifest.dead_letters, 'episode')} left out, dead_letters.jsonl says why"
        yield "left_out", manifest.name, part, message


def _of_fields(summary: DatasetSummary) -> Iterator[Measured]:
    manifest = summary.manifest
    rows = {(row.task, row.role, row.field): row for row in manifest.statistics}
    described = {(field.task, field.role, field.name): field for field in summary.fields}
    for key, row in sorted(rows.items()):
        if key not in described or row.modality == "text":
            continue
        where = f"{row.task} {row.role}/{row.field}"
        yield from _constant(where, row)
        if row.nan:
            yield "nan", where, row.nan, f"{counted(row.nan, 'NaN value')}"
        if saturated := described[key].saturated:
            yield "saturated", where, saturated, f"{share(saturated, 1)} of the values lie outside the range of the ids"
        if row.modality == "continuous":
            yield from _resolution(summary, where, row)


def _constant(where: str, row: FieldStatistics) -> Iterator[Measured]:
    still = [i for i, (low, high) in enumerate(zip(row.low, row.high, strict=True)) if low == high]
    if row.count < 2 or not still:
        return
    values = len(row.low)
    if len(still) == values:
        yield "constant", where, 1.0, f"always {real(row.low[0])}" if values == 1 else "none of its elements changes"
    else:
        named = ", ".join(map(str, still[:8])) + (", ..." if len(still) > 8 else "")
        yield "constant", where, len(still) / values, f"{len(still)} of {values} elements never change: {named}"


def _resolution(summary: DatasetSummary, where: str, row: FieldStatistics) -> Iterator[Measured]:
    task = summary.manifest.tasks[row.task]
    named = {field.name: field for field in (task.actions if row.role == "action" else task.observations)}
    trip = round_trip(named[row.field], row, is_action=row.role == "action", manifest=summary.manifest)
    if trip is not None and trip.resolution is not None and trip.resolution > Thresholds().coarse / 2:
        element = f"element {trip.element}: " if len(row.low) > 1 else ""
        yield "coarse", where, trip.resolution, f"{element}a bin is {real(2 * trip.resolution, 2)} deviations wide"
    used = int(row.bins or "0", 16).bit_count()
    if used and row.count * len(row.low) >= MIN_VALUES and used < 2 / Thresholds().few_bins:
        yield "few_bins", where, 1 / used, f"{counted(used, 'id')} of 1,024 used"


def _of_actions(samples: Mapping[str, ActionSample]) -> Iterator[Measured]:
    for task, sample in sorted(samples.items()):
        if sample.timesteps < MIN_TIMESTEPS or not sample.commonest:
            continue
        (_, times), different = sample.commonest.most_common(1)[0], len(sample.commonest)
        if different > 1 and times / sample.timesteps > 0.5:
            part = f"{share(times, sample.timesteps)} of {sample.timesteps:,} sampled timesteps have the same action"
            yield "idle", task, times / sample.timesteps, part


def _of_copies(episodes: EpisodeList) -> Iterator[Measured]:
    if not len(episodes):
        return
    _, first, inverse, counts = np.unique(episodes.hash, return_index=True, return_inverse=True, return_counts=True)
    if copies := len(episodes) - len(counts):
        one = int(np.flatnonzero(counts[inverse] > 1)[0])
        other = int(np.flatnonzero(inverse == inverse[one])[1])
        example = f"such as {episodes.place(one)} and {episodes.place(other)}"
        yield (
            "duplicates",
            "all",
            copies / len(episodes),
            f"{counted(copies, 'exact copy').replace('copys', 'copies')}, {example}",
        )
    crossing = episodes.split != episodes.split[first][inverse]
    if leaks := int(crossing.sum()):
        one = int(np.flatnonzero(crossing)[0])
        yield "leaks", "all", leaks, f"{counted(leaks, 'episode')} also in another split, such as {episodes.place(one)}"


def _of_episodes(episodes: EpisodeList) -> Iterator[Measured]:
    if untrained := int((episodes.loss_tokens == 0).sum()):
        one = int(np.flatnonzero(episodes.loss_tokens == 0)[0])
        message = f"{counted(untrained, 'episode')} without a token in the loss, such as {episodes.place(one)}"
        yield "untrained", "all", untrained, message
    for number, task in enumerate(episodes.tasks):
        mine = np.flatnonzero(episodes.task == number)
        length = "timesteps" if episodes.timesteps[mine].any() else "tokens"
        for check, unit, values in (
            ("length_outliers", length, getattr(episodes, length)[mine].astype(np.float64)),
            ("return_outliers", "return", episodes.episode_return[mine].astype(np.float64)),
        ):
            yield from _outliers(check, task, unit, values, mine, episodes)


def _outliers(
    check: str, task: str, unit: str, values: NDArray[np.float64], mine: NDArray[np.int64], episodes: EpisodeList
) -> Iterator[Measured]:
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
    yield check, task, float(outside.mean()), f"{message} in {episodes.place(int(mine[worst]))}"
