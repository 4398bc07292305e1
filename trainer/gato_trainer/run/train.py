"""Training from beginning to end: what `gato-data train` calls."""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gato_data.errors import MissingPackageError, OutputError
from gato_data.printable import MAX_LINE, printable
from gato_trainer.cards import THIS_MACHINE, PlannedMachine
from gato_trainer.config import TrainSettings
from gato_trainer.data.batches import BatchSource, checked, close_sources, open_sources
from gato_trainer.model.freezing import told
from gato_trainer.run.evaluate import evaluation_cost
from gato_trainer.run.log import last_record
from gato_trainer.run.plan import MFU_FORMULA, RunPlan, peak_flops, plan
from gato_trainer.run.plot import plot_losses
from gato_trainer.run.profiling import Profile
from gato_trainer.run.snapshot import memory_snapshot
from gato_trainer.run.stopping import StopSignal, out_of_memory
from gato_trainer.run.training import Training
from gato_trainer.world import join_world, unanswered


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run, or this part of it, ended.

    Attributes:
        out: the run folder. step: optimizer steps done in all.
        first_loss, last_loss: of the first and last log line of this invocation.
        record: the last log line, with the keys of `log.jsonl`.
        validation: the last evaluation, if there was one.
        stopped_by: the signal that ended it early in any process, or None.
        windows_left_out: of this invocation, by `skip_spikes` and `skip_steps`.
        losses: loss of every log line as (step, loss).
        is_first: whether this process is the one that should print the result.
    """

    out: Path
    step: int
    parameters: int
    first_loss: float | None
    last_loss: float | None
    record: dict[str, Any]
    validation: dict[str, Any] | None
    stopped_by: str | None
    windows_left_out: int
    losses: list[tuple[int, float]]
    is_first: bool

    @property
    def exit_code(self) -> int:
        """0, or 128 and the number of the signal that ended it early: what waits for the whole run must not go on."""
        return 128 + signal.Signals[self.stopped_by] if self.stopped_by else 0

    def to_json(self) -> dict[str, Any]:
        """The result as JSON-ready values under stable keys."""
        return {
            "out": str(self.out),
            "step": self.step,
            "parameters": self.parameters,
            "first_loss": self.first_loss,
            "last_loss": self.last_loss,
            "train": self.record,
            "validation": self.validation,
            "stopped_by": self.stopped_by,
            "windows_left_out": self.windows_left_out,
        }

    def lines(self) -> list[str]:
        """The result for a person; a run that was stopped before its first log line has no loss."""
        loss = "" if self.first_loss is None else f", loss {self.first_loss:.3f} -> {self.last_loss:.3f}"
        lines = [f"{printable(str(self.out), MAX_LINE)}: step {self.step}{loss}"]
        if self.windows_left_out:
            lines.append(f"{self.windows_left_out:,} windows were left out: log.jsonl describes them")
        if self.stopped_by:
            lines.append(f"stopped by {self.stopped_by}: the same command with --resume continues")
        return lines


def train(mixture: Path, settings: TrainSettings, *, quiet: bool = False, **read_options: Any) -> RunResult:
    """Open the windows of a mixture file and `run` on them.

    Args:
        mixture: the file that `gato-data mix` wrote.
        settings: made by `train_settings`.
        quiet: no lines on stderr.
        read_options: further fields of `gato_data.reading.reader.ReadSettings`.
    """
    source, validation = open_sources(
        mixture, settings.context_length, settings.seed, each=settings.evaluate_samples, **read_options
    )
    try:
        return run(settings, source, validation, quiet=quiet)
    finally:
        close_sources(source, validation)


def dry_run(
    mixture: Path, settings: TrainSettings, planned: PlannedMachine = THIS_MACHINE, **read_options: Any
) -> RunPlan:
    """The plan of `train` with the same arguments, on this machine or on the GPUs planned for; writes nothing."""
    source, validation = open_sources(
        mixture, settings.context_length, settings.seed, each=settings.evaluate_samples, **read_options
    )
    try:
        return plan(settings, source, int(os.environ.get("WORLD_SIZE", "1")), planned)
    finally:
        close_sources(source, validation)


def run(
    settings: TrainSettings,
    source: BatchSource,
    validation: BatchSource | None = None,
    *,
    quiet: bool = False,
) -> RunResult:
    """Train: the whole of `gato-data train` after the reader has been opened.

    Args:
        settings: made by `train_settings`.
        source: training windows; sample g of the run is window g.
        validation: windows for the evaluations, or None.
        quiet: no lines on stderr.

    Raises:
        TrainError: see the messages: device, memory, disk, checkpoint of another run, loss not
            finite.
        OutputError: the run folder is not ours or cannot be written.
    """
    world = join_world(settings.device, settings.collective_timeout)
    try:
        with StopSignal() as stop, memory_snapshot(settings, world):
            with _explained(settings, world.size):
                training = Training(settings, source, validation, world, quiet)
            with _explained(training.settings, world.size):  # with what was chosen
                return _run(training, stop)
    finally:
        world.close()


@contextlib.contextmanager
def _explained(settings: TrainSettings, processes: int) -> Iterator[None]:
    """Turn running out of memory or disk, or waiting for a lost process, into a sentence."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        explained = out_of_memory(error, settings, processes) or unanswered(error)
        if explained is None:
            raise
        raise explained from error
    except OSError as error:
        raise OutputError(
            f"cannot write to {settings.out}: {error.strerror or error}; see to the disk and continue with --resume"
        ) from error


def _announce(training: Training) -> None:
    """Say in the log what is about to run, on what, and what is wrong with it."""
    settings, world = training.settings, training.world
    processes = "1 process" if world.size == 1 else f"{world.size} processes"
    training.log.say(
        f"{settings.model_name}: {told(training.parameters, training.header.frozen_parameters)}, {processes} on "
        f"{world.device}, steps {training.progress.step} to {settings.last_step} of {settings.steps}"
    )
    training.log.say(settings.run_line)
    training.log.say(training.choice.line(training.model.operations.summary))
    if check := checked(training.source):
        training.log.say(f"checked while the data are read, {check}")
    for warning in training.source.warnings:
        training.log.say(f"Warning: {warning}")
    if settings.evaluate_every and training.validation is None:
        training.log.say("no evaluation: no dataset has a validation split; gato-data ingest --holdout makes one")
    if training.validation is not None:
        training.log.say(evaluation_cost(training.validation, settings))
    if peak_flops(world.device) is not None:
        training.log.say(MFU_FORMULA)


def _run(training: Training, stop: StopSignal) -> RunResult:
    settings, world, progress = training.settings, training.world, training.progress
    _announce(training)
    try:
        with Profile(settings.out / "profile", settings.profile and world.is_first) as profile:
            training.steps(stop, profile.step)
        if profile.missing:
            training.log.say("no profile was written: it covers steps 4 to 6 after the start, and the run was shorter")
    finally:
        training.log.close()
    if world.is_first:
        try:
            plot_losses(settings.out)
        except MissingPackageError as error:
            training.log.say(f"no loss.png: {error}")
    losses = progress.losses
    if world.is_first and not losses:  # nothing was left to do
        progress.record = last_record(settings.out)
        losses = [(progress.step, progress.record["loss"])] if progress.record else []
    return RunResult(
        out=settings.out,
        step=progress.step,
        parameters=training.parameters,
        first_loss=losses[0][1] if losses else None,
        last_loss=losses[-1][1] if losses else None,
        record=progress.record,
        validation=progress.validation,
        stopped_by=progress.stopped_by,
        windows_left_out=training.left_out.windows,
        losses=losses,
        is_first=world.is_first,
    )
