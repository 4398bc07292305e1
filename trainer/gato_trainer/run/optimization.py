"""The optimizer steps of a run in one process, and what is measured in them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gato_trainer.config import TrainSettings
from gato_trainer.data.copying import on_device
from gato_trainer.data.feed import micro_ranges
from gato_trainer.data.inputs import Inputs
from gato_trainer.model.averaging import update_average
from gato_trainer.model.graphed import Graphed
from gato_trainer.model.loss import LossTotals
from gato_trainer.model.optimizer import count_step, set_learning_rate
from gato_trainer.model.sharding import synchronize_gradients
from gato_trainer.model.transformer import Gato
from gato_trainer.run.gradients import GradientNorms
from gato_trainer.run.plan import Work, flops, peak_flops
from gato_trainer.run.progress import Meter
from gato_trainer.run.spikes import Spikes
from gato_trainer.run.stopping import FiniteWatch
from gato_trainer.world import World


class Optimization:
    """Makes gradients and steps with them; sums of what it saw wait on the device for the next log line.

    Args:
        model: of the run.
        optimizer: of its parameters. average: of them, empty if none is kept.
        settings: of the run.
        datasets: names of the source's.
        world: the processes.
        usual_loss: of the checkpoint that the run goes on from.

    Attributes:
        watch: whether losses and gradients were finite.
        spikes: which windows are left out; None without `skip_spikes`.
        meter: rates since the last log line.
    """

    def __init__(
        self,
        model: Gato,
        optimizer: torch.optim.Optimizer,
        average: list[Tensor],
        settings: TrainSettings,
        datasets: tuple[str, ...],
        world: World,
        usual_loss: Mapping[str, tuple[float, float, float]],
    ) -> None:
        self.model, self.optimizer, self.average = model, optimizer, average
        self.settings, self.datasets, self.world = settings, datasets, world
        self._forward = Graphed(model) if settings.cuda_graph else model
        self.watch = FiniteWatch(world)
        spiking = settings.skip_spikes > 0
        self.spikes = Spikes(settings.skip_spikes, datasets, world, usual_loss) if spiking else None
        self.meter = Meter(peak_flops(world.device))
        self._begin()

    def _begin(self) -> None:
        self._totals = LossTotals.zeros(self.datasets, self.world.device)
        self._norms = GradientNorms(self.world.device)

    def gradient(self, step: int, micro_batches: list[Inputs], rows: int) -> None:
        """The gradient of the summed loss over all supervised rows of a step, divided by their number, clipped."""
        self.optimizer.zero_grad(set_to_none=True)
        size = self.settings.batch_size
        ranges = micro_ranges(range(step * size, (step + 1) * size), self.settings, self.world)
        # FSDP averages gradients over processes; the loss is a sum over all of them.
        scale = self.world.size / max(rows, 1)
        with self.model.cast_once():
            for index, inputs in enumerate(micro_batches):
                synchronize_gradients(self.model, index == len(micro_batches) - 1)
                work = Work.of(inputs)
                self.meter.add(work.windows * work.length, flops(self.model.config, work))
                loss = self._loss(step, ranges[index], on_device(inputs, self.world.device)) * scale
                loss.backward()  # type: ignore[no-untyped-call]
                self.watch.loss(step, loss)
        if self.spikes is not None:
            self.spikes.end_step(self.model, rows)
        self.watch.gradient(step, self._norms.clip(self.model.parameters(), self.settings.clip))

    def _loss(self, step: int, samples: range, inputs: Inputs) -> Tensor:
        """The summed loss of a micro-batch, without the windows that are left out."""
        row_loss, correct = self._forward(inputs)
        if self.spikes is None:
            self._totals.add(inputs.targets, row_loss, correct)
            return row_loss.sum()
        kept = self.spikes.judge(step, samples, inputs, row_loss)
        self._totals.add(inputs.targets, row_loss, correct, kept)
        return (row_loss * kept).sum()

    def update(self, rate: float) -> None:
        """Change the parameters by the gradient, and their average."""
        set_learning_rate(self.optimizer, rate)
        self.optimizer.step()
        update_average(self.average, self.model, self.settings.ema)

    def skip(self) -> None:
        """A step that changes nothing."""
        count_step(self.optimizer)

    def report(self, waited: float) -> dict[str, Any]:
        """What the log line says of the steps since the one before, over all processes."""
        found = self._totals.report(self.world.sum_tensor(self._totals.stacked()))
        rates = self.meter.rates(int(found["supervised_tokens"]), waited, self.world.size, self.world.device)
        report = {**found, **self._norms.report(), **rates}
        self._begin()
        self.meter.reset(waited)
        return report
