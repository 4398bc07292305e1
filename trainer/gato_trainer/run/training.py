"""The state of a run in one process, and what happens in a step."""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import NoReturn

import msgspec
import torch

from gato_data.errors import GatoError, TrainError
from gato_schemas.policy import POLICY, PolicyCard, encode_card
from gato_trainer.acting.card import make_card
from gato_trainer.checkpoints.header import CheckpointHeader
from gato_trainer.checkpoints.initial_parameters import load_initial
from gato_trainer.checkpoints.saving import Checkpoints, committed
from gato_trainer.checkpoints.storage import all_finite, load, prepare_optimizer, state_tensors
from gato_trainer.config import TrainSettings
from gato_trainer.data.batches import BatchSource, check_contents, check_identity, identity
from gato_trainer.data.copying import on_device
from gato_trainer.data.feed import Feed
from gato_trainer.data.inputs import Inputs
from gato_trainer.data.supervision import check_supervised
from gato_trainer.model.averaging import start_average, update_average
from gato_trainer.model.build import build_model, with_precision
from gato_trainer.model.graphed import Graphed, check_graph
from gato_trainer.model.loss import LossTotals
from gato_trainer.model.optimizer import learning_rate, make_optimizer, set_learning_rate
from gato_trainer.model.sharding import synchronize_gradients
from gato_trainer.run.curves import Curves, check_packages, open_curves
from gato_trainer.run.evaluate import evaluate
from gato_trainer.run.folder import check_folder, check_same_run, open_folder, replace_file, run_header
from gato_trainer.run.plan import Work, flops, model_config, peak_flops
from gato_trainer.run.progress import Log, Meter, RunProgress, progress_line, validation_line
from gato_trainer.run.stopping import StopSignal, dump_batch
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
        self.settings = settings = with_precision(settings, world.device)
        self.source, self.validation, self.world = source, validation, world
        check_graph(settings, world)
        check_packages(tensorboard=settings.tensorboard, wandb=settings.wandb)
        config = model_config(settings, source)
        if settings.batch_size < world.size:
            raise TrainError(f"{world.size} processes need a batch of as many windows; got {settings.batch_size}")
        self.continues = world.decided(lambda: check_folder(settings)) and settings.resume != "no"
        check_supervised(source, settings)
        self.model, self.parameters = build_model(settings, config, world)
        self.forward = Graphed(self.model) if settings.cuda_graph else self.model
        begun = self._begin()
        self.header = run_header(settings, config, source, self.parameters)
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
        self.progress = RunProgress(self._restore())
        for name, content in beside.items():
            replace_file(settings.out / name, content)
        self.totals = LossTotals.zeros(source.dataset_names, world.device)
        self.meter = Meter(peak_flops(world.device))
        self.first_bad = torch.full((), -1, dtype=torch.int64, device=world.device)

    def _card(self) -> PolicyCard | None:
        """What the run carries to act; of the first process alone, which writes it."""
        made: list[PolicyCard | None] = []
        self.world.decided(lambda: made.append(make_card(self.source)))
        return made[0] if made else None

    def _begin(self) -> str:
        """Load the parameters of `--init-from`, unless the run goes on from its own; a line that says so."""
        settings = self.settings
        has_own = self.world.decided(lambda: bool(committed(settings.out / "checkpoints")))
        if settings.init_from is None or (self.continues and has_own):
            return ""
        return load_initial(self.model, self.source.vocabulary, settings.init_from, self.world)

    def _curves(self) -> list[Curves]:
        if not self.world.is_first:
            return []
        settings = self.settings
        config = {**self.header.settings, "model": asdict(self.header.model)}
        return open_curves(settings.out, tensorboard=settings.tensorboard, wandb=settings.wandb, config=config)

    def _restore(self) -> int:
        """Load the newest checkpoint of a run that is continued; the number of steps done."""
        prepare_optimizer(self.model, self.optimizer, 0)
        found = self.checkpoints.newest_whole() if self.continues else None
        if found is None:
            if self.continues:
                self.log.say("no checkpoint yet: starting at step 0")
                self.log.trim(0)
            return 0
        header, path = found.header, found.path
        for damaged, problem in found.damaged.items():
            self.log.say(f"{problem}; it is kept as damaged-{damaged.name}, and the run goes on from the one before")
        check_same_run(header, self.header, path)
        check_contents(header.datasets, self.source, path)
        if header.stream:
            check_identity(header.stream, self.source, header.next_sample)
        prepare_optimizer(self.model, self.optimizer, header.step)
        load(path, state_tensors(self.model, self.optimizer, self.average), self.world)
        self.checkpoints.set_aside(found.damaged)
        self.log.trim(header.step)
        self.log.say(f"continuing at step {header.step} from {path}")
        return header.step

    def steps(self, stop: StopSignal, after_step: Callable[[], None]) -> None:
        """Train to the last step, or until a signal; saves at the end in either case."""
        settings = self.settings
        done = self.progress.step
        with Feed(self.source, settings, self.model.config, self.world, done, settings.last_step) as feed:
            self.meter.reset(feed.waited)
            while self.progress.step < settings.last_step:
                micro_batches = self._next(feed, stop)
                if micro_batches is None:
                    break
                self._step(*micro_batches)
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
        rows, failures, stops = self.world.sum([rows, failure is not None, stop.received is not None])
        if failures:
            self.save()
            self.checkpoints.wait()
            self.log.say(f"saved at step {self.progress.step}: continue with --resume when the data are whole again")
            raise failure or TrainError("another process could not read its data; see its message")
        if stops:
            self.progress.stopped_by = stop.received or "a signal"
            return None
        return micro_batches, rows

    def _step(self, micro_batches: list[Inputs], rows: int) -> None:
        """One optimizer step: the gradient of the summed loss over all supervised rows, divided by their number."""
        settings, step = self.settings, self.progress.step
        set_learning_rate(self.optimizer, learning_rate(step, settings))
        self.optimizer.zero_grad(set_to_none=True)
        # FSDP averages gradients over processes; the loss is a sum over all of them.
        scale = self.world.size / max(rows, 1)
        with self.model.cast_once():
            for index, inputs in enumerate(micro_batches):
                synchronize_gradients(self.model, index == len(micro_batches) - 1)
                work = Work.of(inputs)
                self.meter.add(work.windows * work.length, flops(self.model.config, work))
                inputs = on_device(inputs, self.world.device)
                row_loss, correct = self.forward(inputs)
                loss = row_loss.sum() * scale
                loss.backward()
                self.totals.add(inputs.targets, row_loss, correct)
                bad = ~torch.isfinite(loss.detach()) & (self.first_bad < 0)
                self.first_bad = torch.where(bad, step, self.first_bad)
        if self.world.device.type == "cpu":
            self._check_finite()
        if settings.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
        self.optimizer.step()
        update_average(self.average, self.model, settings.ema)
        self.progress.step += 1

    def _after_step(self, feed: Feed) -> None:
        settings, step = self.settings, self.progress.step
        last = step == settings.last_step
        if step == 1 or step % settings.log_every == 0 or last:
            self._check_finite()
            self._log(feed)
        if self.validation is not None and (_every(step, settings.evaluate_every) or last):
            began = time.perf_counter()
            self.evaluate(self.validation)
            self.meter.leave_out(time.perf_counter() - began)
        if _every(step, settings.checkpoint_every) and not last:
            self.save()
        self.checkpoints.poll()

    def _log(self, feed: Feed) -> None:
        totals = self.world.sum_tensor(self.totals.stacked())
        report = self.totals.report(totals)
        rates = self.meter.rates(int(report["supervised_tokens"]), feed.waited, self.world.size, self.world.device)
        step = self.progress.step
        record = {"step": step, **report, "learning_rate": learning_rate(step - 1, self.settings), **rates}
        self.log.write("train", record, progress_line(record, self.settings.steps))
        self.progress.record = record
        if record["loss"] is not None:
            self.progress.losses.append((step, record["loss"]))
        self.totals = LossTotals.zeros(self.source.dataset_names, self.world.device)
        self.meter.reset(feed.waited)

    def evaluate(self, source: BatchSource) -> None:
        """Evaluate, log it and keep it as the run's last evaluation."""
        report = evaluate(self.model, self.average, source, self.settings, self.world)
        self.progress.validation = {"step": self.progress.step, **report}
        line = f"step {self.progress.step}: {validation_line(report)}"
        self.log.write("validation", self.progress.validation, line)

    def save(self) -> None:
        """Begin to save the state after the last step; a state that is not finite is never saved."""
        self._check_finite()
        state = state_tensors(self.model, self.optimizer, self.average)
        bad = -1 if all_finite(state) else self.progress.step - 1
        if (bad := self.world.first(bad)) >= 0:
            self._stop_at(bad, "the state after")
        step = self.progress.step
        sample = step * self.settings.batch_size
        of_run = msgspec.structs.asdict(self.header)
        header = CheckpointHeader(**of_run, step=step, next_sample=sample, stream=identity(self.source, sample))
        self.checkpoints.save(state, header)

    def _check_finite(self) -> None:
        """Stop if a loss since the last check was not finite."""
        bad = self.world.first(int(self.first_bad))
        if bad >= 0:
            self._stop_at(bad, "the loss of")

    def _stop_at(self, bad: int, what: str) -> NoReturn:
        """Stop because of what came out of the step that is number `bad`, from 0; people count from 1.

        Raises:
            TrainError: says where the batch was written and which checkpoint is good.
        """
        dumped = "the other process's message"
        if self.world.is_first:
            size = self.settings.batch_size
            samples = range(bad * size, (bad + 1) * size)
            dumped = str(dump_batch(self.settings.out, bad + 1, self.source, samples))
        self.checkpoints.wait()
        newest = self.checkpoints.newest()
        good = f"the last good checkpoint is {newest[1]}" if newest else "there is no checkpoint before it"
        raise TrainError(
            f"{what} step {bad + 1} is not finite; its windows are described in {dumped} and {good}; "
            f"try a lower --learning-rate or --clip 1"
        )


def _every(step: int, interval: int) -> bool:
    return interval > 0 and step % interval == 0
