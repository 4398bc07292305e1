"""Losses and accuracies on fixed windows: mean patch positions, every sub-layer, averaged parameters if kept."""

from typing import Any

import torch
from torch import Tensor

from gato_trainer.config import TrainSettings
from gato_trainer.data.batches import BatchSource
from gato_trainer.data.feed import micro_ranges, read
from gato_trainer.model.averaging import averaged
from gato_trainer.model.loss import LossTotals
from gato_trainer.model.sharding import release_gathered
from gato_trainer.model.transformer import Gato
from gato_trainer.world import World


@torch.no_grad()
def evaluate(
    model: Gato, average: list[Tensor], source: BatchSource, settings: TrainSettings, world: World
) -> dict[str, Any]:
    """Evaluate on windows 0 .. `evaluate_samples` of the source; the same windows every time.

    Returns:
        The keys of `LossTotals.report`.
    """
    totals = LossTotals.zeros(source.dataset_names, world.device)
    size = settings.batch_size
    with averaged(model, average):
        for first in range(0, settings.evaluate_samples, size):
            samples = range(first, min(first + size, settings.evaluate_samples))
            ranges = micro_ranges(samples, settings, world)
            for inputs in read(source, ranges, model.config):
                inputs = inputs.to(world.device)
                totals.add(inputs.targets, *model(inputs))
        release_gathered(model)
    return totals.report(world.sum_tensor(totals.stacked()))
