"""What `gato-data rollout` shows: a bar while it plays, and the scores."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from rich.console import Console

from gato_cli.ingest_progress import StageBar, duration
from gato_data.printable import MAX_LINE, counted, printable, real
from gato_data.report.table import TableColumn
from gato_data.report.terminal.table import print_heading, print_table
from gato_pipelines.rollout.folder import PLOT
from gato_pipelines.rollout.results import Arm
from gato_pipelines.rollout.run import Rollout, rollout
from gato_pipelines.rollout.scores import ArmScore, FamilyScore, TaskScore
from gato_pipelines.rollout.settings import RolloutSettings
from gato_pipelines.rollout.statistics import Estimate, Rate
from gato_pipelines.rollout.subjects import Subject
from gato_trainer.acting import Policy
from gato_trainer.run.lines import action_line

_Row: TypeAlias = tuple[TaskScore, Arm, ArmScore]


class RolloutProgress(StageBar):
    """Shows how far a rollout is, one task and player at a time."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._playing: tuple[str, Arm] | None = None
        self._start = self._drawn = time.monotonic()

    def show(self, task: str, arm: Arm, done: int, of: int) -> None:
        """Called after every episode."""
        now = time.monotonic()
        if self._playing != (task, arm):
            self._playing, self._start = (task, arm), now
        if now - self._drawn < self.every:
            return
        self._drawn = now
        left = duration((now - self._start) * (of - done) / done)
        self.draw(f"{printable(task)}, {arm}", done / of, [f"{done:,}/{counted(of, 'episode')}", f"{left} left"])


def play_shown(
    policy: Policy, identity: dict[str, Any], subjects: Sequence[Subject], settings: RolloutSettings, **places: Any
) -> Rollout:
    """A rollout with a bar.

    Raises:
        KeyboardInterrupt: it was interrupted; says how to go on.
    """
    held_out = None if policy.held_out is None else msgspec.structs.asdict(policy.held_out)
    try:
        with RolloutProgress() as shown:
            return rollout(policy, identity, subjects, settings, **places, held_out=held_out, progress=shown.show)
    except KeyboardInterrupt as error:
        advice = "run the same command again to go on" if places["out"] else "with --out DIR it could be continued"
        raise KeyboardInterrupt(advice) from error


def print_rollout(console: Console, found: Rollout, out: Path | None) -> None:
    """The scores as tables."""
    scores = found.scores
    print_table(console, _TASKS, _rows(scores.tasks))
    for task in scores.tasks:
        for arm, score in task.arms.items():
            if score.gave_up:
                _say(console, f"task {task.task}: the {arm} gave up {counted(score.gave_up, 'episode')}, which count")
        if task.why:
            _say(console, f"task {task.task}: no score between chance and an expert, since {task.why}")
        elif "expert" not in task.arms:
            _say(console, f"task {task.task}: 100 % is the return of its recording, by {task.expert}")
    if len(scores.tasks) > 1:
        print_heading(console, "scores: 0 % chance, 100 % the expert")
        print_table(console, _FAMILIES, [*scores.families, *([scores.overall] if scores.overall else [])])
    if found.held_out is not None:
        _say(console, f"held-out episodes at step {found.held_out['step']}: {action_line(found.held_out)}")
    for note in found.notes:
        _say(console, note)
    if out is not None:
        drawn = f", {PLOT}" if (out / PLOT).exists() else ""
        _say(console, f"{out}: every episode, the scores{drawn}")


def _say(console: Console, line: str) -> None:
    console.print(printable(line, MAX_LINE), soft_wrap=True)


def _estimate(found: Estimate) -> str:
    error = "" if found.error is None else f" ± {real(found.error, 2)}"
    return real(found.value) + error


def _rate(found: Rate | None) -> str:
    if found is None:
        return ""
    return f"{100 * found.value:.1f}% [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def _normalised(row: _Row) -> str:
    task, arm, _ = row
    if arm != "policy" or task.normalised is None:
        return ""
    error = "" if task.normalised.error is None else f" ± {100 * task.normalised.error:.1f}"
    return f"{100 * task.normalised.value:.1f}{error} %"


def _rows(tasks: Sequence[TaskScore]) -> list[_Row]:
    return [(task, arm, score) for task in tasks for arm, score in task.arms.items()]


_TASKS: tuple[TableColumn[_Row], ...] = (
    TableColumn("task", lambda row: printable(row[0].task)),
    TableColumn("played by", lambda row: row[1]),
    TableColumn("episodes", lambda row: f"{row[2].episodes:,}", number=True, optional=True),
    TableColumn("return", lambda row: _estimate(row[2].mean_return), number=True),
    TableColumn("success", lambda row: _rate(row[2].success), number=True),
    TableColumn("score", _normalised, number=True),
    TableColumn("actions", lambda row: f"{row[2].mean_length:.1f}", number=True, optional=True),
    TableColumn(
        "ms each", lambda row: f"{row[2].milliseconds:.1f}" if row[1] == "policy" else "", number=True, optional=True
    ),
)
_FAMILIES: tuple[TableColumn[FamilyScore], ...] = (
    TableColumn("family", lambda family: family.family),
    TableColumn("tasks", lambda family: f"{family.tasks} of {family.of}", number=True),
    TableColumn(
        "mean", lambda family: "-" if family.normalised is None else f"{100 * family.normalised:.1f} %", number=True
    ),
)
