"""What is wrong, or may be wrong, with a dataset: findings with a measure and a threshold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from gato_data.errors import InputError, SettingError
from gato_data.printable import printable
from gato_data.report import checks
from gato_data.report.actions import ActionSample, sample_actions
from gato_data.report.dataset import DatasetSummary
from gato_data.report.episodes import EpisodeList, list_episodes

NOTICE = {"few_bins": 0.5, "coarse": 0.5, "idle": 0.5, "one_step": 0.5}
"""Checks that every dataset has a measure for: below this share of the threshold they are not worth a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Above which measure a finding is a problem; below it is a notice.

    Attributes:
        missing: files that the manifest names and the folder lacks.
        left_out: share of episodes that ingest left out.
        unknown: share of text tokens that are no piece of the text model.
        nan: NaN values of a field (their episodes were left out).
        constant: share of a field's elements whose value never changes.
        saturated: share of a field's values that the tokenizer cannot tell from the end of its range.
        few_bins: 1 over the bins that a continuous field uses: 0.05 asks for 20.
        coarse: half a bin over a field's standard deviation.
        idle: share of timesteps with the commonest action, of those sampled.
        duplicates: share of episodes that are exact copies of another one.
        leaks: episodes that are in two splits.
        untrained: episodes without a token under the loss mask.
        one_step: share of a task's episodes that are one timestep long.
        length_outliers, return_outliers: share of a task's episodes far outside its quartiles.
    """

    missing: float = 0
    left_out: float = 0.01
    unknown: float = 0.01
    nan: float = 0
    constant: float = 0.5
    saturated: float = 0.01
    few_bins: float = 0.05
    coarse: float = 0.25
    idle: float = 0.9
    duplicates: float = 0.01
    leaks: float = 0
    untrained: float = 0
    one_step: float = 0.1
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
class QualityFinding:
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

    findings: Sequence[QualityFinding]
    episodes: EpisodeList
    actions: Mapping[str, ActionSample]

    @property
    def problems(self) -> int:
        """Findings above their threshold."""
        return sum(finding.level == "problem" for finding in self.findings)

    def refuse_problems(self, folder: Path) -> None:
        """Refuse a dataset that has findings above their threshold.

        Raises:
            InputError: it has.
        """
        if self.problems:
            above = "1 finding is" if self.problems == 1 else f"{self.problems} findings are"
            raise InputError(f"{above} above the threshold in {folder}: mend the data, or move it with --threshold")


def judge(summary: DatasetSummary, thresholds: Thresholds) -> Quality:
    """Look for what is wrong with a dataset; reads every index and the ids of a sample of records.

    Raises:
        FormatError: an index or a sampled record is damaged.
    """
    folder, manifest = summary.folder, summary.manifest
    episodes = list_episodes(folder, manifest)
    actions = sample_actions(folder, manifest)
    graded = [_graded(measured, thresholds) for measured in checks.run(summary, episodes, actions)]
    findings = [finding for finding in graded if finding is not None]
    return Quality(sorted(findings, key=lambda finding: finding.level != "problem"), episodes, actions)


def _graded(measured: checks.Measurement, thresholds: Thresholds) -> QualityFinding | None:
    """A finding, or None where the measure is too far below its threshold to be worth a line."""
    threshold = float(getattr(thresholds, measured.check))
    if measured.measure <= threshold * NOTICE.get(measured.check, 0):
        return None
    return QualityFinding(
        check=measured.check,
        level="problem" if measured.measure > threshold else "notice",
        where=measured.where,
        measure=measured.measure,
        threshold=threshold,
        message=measured.message,
    )
