"""Loss spikes: windows whose loss lies far above what windows of their dataset have.

A window is judged behind its forward by what was usual before the step, so that neither micro-batches
nor processes change the verdict; the rows of one that is left out have no loss, and the gradient is
divided by the number of those that are left, over all processes. Nothing here waits for the device.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gato_trainer.data.inputs import Inputs
from gato_trainer.model.averaging import local
from gato_trainer.world import World

JUDGED_FROM = 64
"""Windows of a dataset that have to be seen before one of them is judged."""
REMEMBERED = 1024
"""Windows of a dataset that mean and deviation are about; older ones fade."""


class Spike(NamedTuple):
    """A window that was left out: its loss per supervised token, and the limit that this lies above.

    Attributes:
        step: from 0.
        sample: its global number.
        dataset: its number.
    """

    step: int
    sample: int
    dataset: int
    loss: float
    limit: float


class _Judged(NamedTuple):
    step: int
    samples: range
    verdict: Tensor


class Spikes:
    """What window losses are usual in each dataset, and which windows lie above.

    Args:
        deviations: above the mean, at which a window is left out.
        datasets: their names.
        world: the processes.
        usual: `state` of a run that goes on.
    """

    def __init__(
        self,
        deviations: float,
        datasets: tuple[str, ...],
        world: World,
        usual: Mapping[str, tuple[float, float, float]],
    ) -> None:
        self._deviations, self._datasets, self._world = deviations, datasets, world
        rows = [usual.get(name, (0.0, 0.0, 0.0)) for name in datasets]
        self._usual = torch.tensor(rows, dtype=torch.float64, device=world.device)
        self._judged: list[_Judged] = []
        self._begin()

    def _begin(self) -> None:
        self._sums = torch.zeros_like(self._usual)
        self._kept = torch.zeros((), dtype=torch.float64, device=self._world.device)
        count, mean, variance = self._usual.unbind(1)
        limit = mean + self._deviations * variance.sqrt()
        self._limit = torch.where(count >= JUDGED_FROM, limit, torch.inf)

    @torch.no_grad()
    def judge(self, step: int, samples: range, inputs: Inputs, row_loss: Tensor) -> Tensor:
        """Judge a micro-batch of this process.

        Args:
            step: from 0.
            samples: of its windows; there may be more windows, without a supervised row.
            inputs: the windows.
            row_loss: float32 (S,), of every supervised row.

        Returns:
            float32 (S,), 1 of every row that counts, 0 of one whose window is left out.
        """
        windows, length = inputs.tokens.shape
        window = inputs.targets.rows // length
        real = inputs.targets.ids >= 0  # others fill the batch up and point to its first window
        sums = torch.zeros(windows, 2, dtype=torch.float64, device=row_loss.device)
        sums.index_add_(0, window, torch.stack([real, row_loss * real], dim=1).double())
        rows, loss = sums[:, 0], sums[:, 1] / sums[:, 0].clamp(min=1)
        dataset = window.new_zeros(windows).scatter_reduce_(0, window, inputs.targets.dataset * real, "amax")
        limit = self._limit[dataset]
        known = (rows > 0) & loss.isfinite()  # a loss that is not finite ends the run
        out = known & (loss > limit)
        # One that is left out counts as its limit, so that losses that rise for good are let in again.
        counted = torch.where(known, torch.minimum(loss, limit), 0)
        self._sums.index_add_(0, dataset, torch.stack([known.double(), counted, counted**2], dim=1))
        self._kept += (rows * ~out).sum()
        self._judged.append(_Judged(step, samples, torch.stack([out.double(), dataset.double(), loss, limit])))
        return (~out)[window].to(row_loss.dtype)

    @torch.no_grad()
    def end_step(self, model: nn.Module, rows: int) -> None:
        """Divide the gradient by the rows that are left instead of all `rows`, and learn what is usual."""
        told = torch.cat([self._sums.flatten(), self._kept[None]])
        if self._world.size > 1:
            dist.all_reduce(told)
        gradients = [local(parameter.grad) for parameter in model.parameters() if parameter.grad is not None]
        torch._foreach_mul_(gradients, (rows / told[-1].clamp(min=1)).float())
        count, mean, variance = self._usual.unbind(1)
        added, total, squares = told[:-1].view_as(self._usual).unbind(1)
        before = count.clamp(max=REMEMBERED)
        after = (before + added).clamp(min=1)
        now = (before * mean + total) / after
        spread = (before * (variance + mean**2) + squares) / after - now**2
        self._usual = torch.stack([before + added, now, spread.clamp(min=0)], dim=1)
        self._begin()

    def take(self) -> list[Spike]:
        """The windows that were left out since the last call, in all processes; waits for the device."""
        mine: list[Spike] = []
        for step, samples, verdict in self._judged:
            rows = verdict.T.tolist()
            mine += [
                Spike(step, sample, int(dataset), loss, limit)
                for sample, (out, dataset, loss, limit) in zip(samples, rows, strict=False)
                if out
            ]
        self._judged.clear()
        found = [mine]
        if self._world.size > 1:
            found = [[] for _ in range(self._world.size)]
            dist.all_gather_object(found, mine)
        return sorted(spike for part in found for spike in part)

    def state(self) -> dict[str, tuple[float, float, float]]:
        """Windows, mean and variance of the window losses of every dataset, for a checkpoint."""
        rows = zip(self._datasets, self._usual.tolist(), strict=True)
        return {name: (count, mean, variance) for name, (count, mean, variance) in rows if count}
