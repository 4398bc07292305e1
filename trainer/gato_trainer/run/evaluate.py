"""Losses and accuracies on fixed windows: mean patch positions, every sub-layer, averaged parameters if kept."""

from typing import Any

import torch
from torch import Tensor

from gato_data.errors import GatoError, TrainError
from gato_trainer.config import TrainSettings
from gato_trainer.data.batches import BatchSource
from gato_trainer.data.copying import on_device
from gato_trainer.data.feed import Preparation, micro_ranges, read
from gato_trainer.data.inputs import Inputs
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
    prepared = Preparation.of(settings, model.config, world)
    with averaged(model, average):
        for first in range(0, settings.evaluate_samples, size):
            samples = range(first, min(first + size, settings.evaluate_samples))
            ranges = micro_ranges(samples, settings, world)
            for inputs in _read(source, ranges, prepared, world):
                inputs = on_device(inputs, world.device)
                totals.add(inputs.targets, *model(inputs))
        release_gathered(model)
    return totals.report(world.sum_tensor(totals.stacked()))


def _read(source: BatchSource, ranges: list[range], prepared: Preparation, world: World) -> list[Inputs]:
    """This process's windows of a batch, once all processes have theirs.

    Raises:
        GatoError: one of them could not read its own.
    """
    failure: GatoError | None = None
    found: list[Inputs] = []
    try:
        found = [*read(source, ranges, prepared)]
    except GatoError as error:
        failure = error
    if world.sum([failure is not None])[0]:
        raise failure or TrainError("another process could not read its validation data; see its message")
    return found
