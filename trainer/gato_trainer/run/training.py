"""The state of a run in one process, and what happens in a step."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import NoReturn

from gato_data.errors import GatoError, TrainError
from gato_schemas.policy import POLICY, PolicyCard, encode_card
from gato_trainer.acting.card import make_card
from gato_trainer.checkpoints.header import CheckpointHeader
from gato_trainer.checkpoints.initial_parameters import load_initial
from gato_trainer.checkpoints.saving import Checkpoints, committed
from gato_trainer.config import TrainSettings
from gato_trainer.data.batches import BatchSource
from gato_trainer.data.feed import Feed
from gato_trainer.data.inputs import Inputs
from gato_trainer.data.skipped_steps import SkippedSteps
from gato_trainer.data.supervision import check_supervised
from gato_trainer.model.averaging import start_average
from gato_trainer.model.build import build_model, choose_operations, model_config
from gato_trainer.model.freezing import count_frozen
from gato_trainer.model.graphed import check_graph
from gato_trainer.model.optimizer import learning_rate, make_optimizer
from gato_trainer.model.sharding import check_processes
from gato_trainer.run.choosing import definite
from gato_trainer.run.curves import Curves, check_packages, open_curves
from gato_trainer.run.evaluate import evaluate
from gato_trainer.run.folder import (
    check_folder,
    keep_skipped,
    open_folder,
    replace_file,
    run_header,
    skipped_before,
)
from gato_trainer.run.left_out import LeftOut
from gato_trainer.run.lines import progress_line, validation_line
from gato_trainer.run.machine import machine_here
from gato_trainer.run.optimization import Optimization
from gato_trainer.run.plan import choose_for
from gato_trainer.run.progress import Log, RunProgress
from gato_trainer.run.saved_state import SavedState
from gato_trainer.run.stopping import STOPPING, StopSignal, not_finite
from gato_trainer.world import World


class Training:
    """The model with its optimizer, where its data come from, and the files it writes."""

    def __init__(
        self,
        settings: TrainSettings,
        source: BatchSource,
        validation: BatchSource | None,
        world: World,
        quiet: bool,
    ) -> None:
        self.source, self.validation, self.world = source, validation, world
        check_graph(settings, world)
        check_processes(settings, world.size)
        machine = machine_here(world)
        self.settings = settings = definite(settings, machine)
        check_packages(tensorboard=settings.tensorboard, wandb=settings.wandb)
        config = model_config(settings, source)
        self.continues = world.decided(lambda: check_folder(settings)) and settings.resume != "no"
        self._leave_out_steps()
        settings = self.settings
        check_supervised(source, settings)
        chosen = choose_operations(settings, config, world)
        self.choice = world.decided(lambda: choose_for(settings, config, source, machine, chosen.fused))
        self.settings = settings = self.choice.settings
        self.model, self.parameters = build_model(settings, config, world, chosen)
        begun = self._begin()
        self.header = run_header(settings, config, source, self.parameters, count_frozen(self.model))
        world.decided(lambda: open_folder(settings, self.header))
        card = self._card()
        beside = {} if card is None else {POLICY: encode_card(card)}
        self.optimizer = make_optimizer(self.model, settings)
        self.average = start_average(self.model, settings.ema)
        self.checkpoints = Checkpoints(settings.out / "checkpoints", world, settings.keep_checkpoints, beside)
        self.log = Log(settings.out, curves=self._curves(), first=world.is_first, quiet=quiet)
        if begun:
            self.log.say(begun)
        for what in card.left_out if card else ():
            self.log.say(f"{POLICY} is without {what}")
        self.state = SavedState(self.model, self.optimizer, self.average, source, self.header, self.checkpoints)
        self.state.begin()
        restored = self._restore()
        self.progress = RunProgress(restored.step if restored else 0)
        for name, content in beside.items():
            replace_file(settings.out / name, content)
        usual = restored.usual_loss if restored else {}
        self.optimization = Optimization(
            self.model, self.optimizer, self.average, settings, source.dataset_names, world, usual
        )
        self.left_out = LeftOut(settings, source, self.log)

    def _leave_out_steps(self) -> None:
        """Add the steps that the run leaves out already to those of the settings."""
        settings = self.settings
        kept = self.world.decided(lambda: skipped_before(settings)) if self.continues else SkippedSteps()
        self._skipped_now = SkippedSteps.parse(settings.skip_steps).without(kept)
        if (beyond := self._skipped_now.without(SkippedSteps((range(settings.steps),)))).ranges:
            raise TrainError(f"--skip-steps {beyond} names no step of this run, which has {settings.steps:,}")
        self.skipped = kept | self._skipped_now
        self.settings = dataclasses.replace(settings, skip_steps=str(self.skipped))

    def _card(self) -> PolicyCard | None:
        """What the run carries to act; of the first process alone, which writes it."""
        made: list[PolicyCard | None] = []
        self.world.decided(lambda: made.append(make_card(self.source)))
        return made[0] if made else None

    def _begin(self) -> str:
        """Load the parameters of `--init-from`, unless the run goes on from its own; a line that says so."""
        settings = self.settings
        has_own = self.world.decided(lambda: bool(committed(settings.out / "checkpoints")))
        if settings.lora and settings.init_from is None and not has_own:
            raise TrainError(f"{settings.out} has no checkpoint to go on from: give --lora its --init-from again")
        if settings.init_from is None or (self.continues and has_own):
            return ""
        return load_initial(self.model, self.source.vocabulary, settings.init_from, self.world)

    def _curves(self) -> list[Curves]:
        if not self.world.is_first:
            return []
        settings = self.settings
        config = {**self.header.settings, "model": asdict(self.header.model)}
        return open_curves(settings.out, tensorboard=settings.tensorboard, wandb=settings.wandb, config=config)

    def _restore(self) -> CheckpointHeader | None:
        """Go on from the newest whole checkpoint of a run that is continued; None if there is none."""
        if not self.continues:
            return None
        header = self.state.restore(self.log)
        self.world.decided(lambda: keep_skipped(self.settings))
        if header is not None and (late := self._skipped_now.before(header.step)).ranges:
            self.log.say(f"--skip-steps {late} comes too late: the checkpoint at step {header.step} has learnt from it")
        return header

    def steps(self, stop: StopSignal, after_step: Callable[[], None]) -> None:
        """Train to the last step, or until a signal; saves at the end in either case."""
        settings = self.settings
        done = self.progress.step
        with Feed(self.source, settings, self.model.config, self.world, done, settings.last_step) as feed:
            self.optimization.meter.reset(feed.waited)
            while self.progress.step < settings.last_step:
                if self.progress.step in self.skipped:
                    self.optimization.skip()
                    self.left_out.step(self.progress.step)
                else:
                    micro_batches = self._next(feed, stop)
                    if micro_batches is None:
                        break
                    self._step(*micro_batches)
                self.progress.step += 1
                self._after_step(feed)
                after_step()
        self.save()
        self.checkpoints.wait()

    def _next(self, feed: Feed, stop: StopSignal) -> tuple[list[Inputs], int] | None:
        """The step's micro-batches and the number of supervised rows over all processes; None to stop.

        A failing reader or a signal in one process stops all of them, with everything up to here
        saved.
        """
        failure: GatoError | None = None
        micro_batches: list[Inputs] = []
        try:
            micro_batches = feed.next()
        except GatoError as error:
            failure = error
        rows = sum(inputs.real.rows for inputs in micro_batches)
        received = [name == stop.received for name in STOPPING]
        rows, failures, *stops = self.world.sum([rows, failure is not None, *received])
        if failures:
            self.save()
            self.checkpoints.wait()
            step = self.progress.step
            self.log.say(
                f"saved at step {step}: continue with --resume when the data are whole again, or without the windows "
                f"of the next step with --resume --skip-steps {step + 1}"
            )
            raise failure or TrainError("another process could not read its data; see its message")
        if any(stops):
            self.progress.stopped_by = next(name for name, count in zip(STOPPING, stops, strict=True) if count)
            return None
        return micro_batches, rows

    def _step(self, micro_batches: list[Inputs], rows: int) -> None:
        """One optimizer step; on a GPU, what is not finite is looked for later."""
        step = self.progress.step
        self.optimization.gradient(step, micro_batches, rows)
        if self.world.device.type == "cpu":
            self._check_finite()
        self.optimization.update(learning_rate(step, self.settings))

    def _after_step(self, feed: Feed) -> None:
        settings, step = self.settings, self.progress.step
        last = step == settings.last_step
        if step == 1 or step % settings.log_every == 0 or last:
            self._check_finite()
            self._log(feed)
        if self.validation is not None and (_every(step, settings.evaluate_every) or last):
            began = time.perf_counter()
            self.evaluate(self.validation)
            self.optimization.meter.leave_out(time.perf_counter() - began)
        if _every(step, settings.checkpoint_every) and not last:
            self.save()
        self.checkpoints.poll()

    def _log(self, feed: Feed) -> None:
        step = self.progress.step
        self._tell_spikes()
        record = {
            "step": step,
            **self.optimization.report(feed.waited),
            "learning_rate": learning_rate(step - 1, self.settings),
            "windows_left_out": self.left_out.since_last(),
        }
        if self.world.device.type == "cuda":  # where memory_bytes is measured of the device alone
            record["memory_estimate_bytes"] = self.choice.memory_bytes
        self.log.write("train", record, progress_line(record, self.settings.steps))
        self.progress.record = record
        if record["loss"] is not None:
            self.progress.losses.append((step, record["loss"]))

    def _tell_spikes(self) -> None:
        if self.optimization.spikes is not None:
            self.left_out.spikes(self.optimization.spikes.take())

    def evaluate(self, source: BatchSource) -> None:
        """Evaluate, log it and keep it as the run's last evaluation."""
        report = evaluate(self.model, self.average, source, self.settings, self.world)
        self.progress.validation = {"step": self.progress.step, **report}
        line = f"step {self.progress.step}: {validation_line(report)}"
        self.log.write("validation", self.progress.validation, line)

    def save(self) -> None:
        """Begin to save the state after the last step; a state that is not finite is never saved."""
        self._check_finite()
        self._tell_spikes()
        step, spikes = self.progress.step, self.optimization.spikes
        if (bad := self.world.first(-1 if self.state.is_finite() else step - 1)) >= 0:
            self._stop_at(bad, "the state after")
        self.state.save(step, step * self.settings.batch_size, {} if spikes is None else spikes.state())

    def _check_finite(self) -> None:
        """Stop if a loss or gradient since the last check was not finite."""
        if (bad := self.optimization.watch.first()) is not None:
            self._stop_at(*bad)

    def _stop_at(self, bad: int, what: str) -> NoReturn:
        raise not_finite(bad, what, self.settings, self.source, self.checkpoints)


def _every(step: int, interval: int) -> bool:
    return interval > 0 and step % interval == 0
