"""Losses and accuracies on fixed windows: mean patch positions, every sub-layer, averaged parameters if kept."""

from typing import Any

import torch
from torch import Tensor

from gato_data.errors import GatoError, TrainError
from gato_trainer.config import TrainSettings
from gato_trainer.data.batches import BatchSource, windows_each
from gato_trainer.data.copying import on_device
from gato_trainer.data.feed import Preparation, read
from gato_trainer.data.inputs import Inputs
from gato_trainer.model.averaging import averaged
from gato_trainer.model.loss import LossTotals
from gato_trainer.model.sharding import release_gathered
from gato_trainer.model.transformer import Gato
from gato_trainer.world import World


def evaluated_windows(source: BatchSource, settings: TrainSettings) -> int:
    """Windows of one evaluation: those that the source has, or so many for each dataset from the first one on."""
    if source.first_windows is not None:
        return source.first_windows.total
    datasets = len(source.dataset_names)
    return datasets * (settings.evaluate_samples or windows_each(datasets))


def evaluation_cost(source: BatchSource, settings: TrainSettings) -> str:
    """A sentence: how many windows an evaluation reads, and what that costs beside training."""
    windows = evaluated_windows(source, settings)
    steps = windows / settings.batch_size / 3  # a forward without a backward
    line = f"an evaluation reads {windows:,} windows, as much work as {steps:,.1f} steps"
    if source.first_windows is None:
        return line
    counts = [count for count in source.first_windows.windows if count]
    each = "the dataset" if len(counts) == 1 else f"each of the {len(counts):,} datasets"
    return f"{line}: up to {max(counts):,} of {each} with a validation split"


@torch.no_grad()
def evaluate(
    model: Gato, average: list[Tensor], source: BatchSource, settings: TrainSettings, world: World
) -> dict[str, Any]:
    """Evaluate on the same windows every time, whatever the number of processes.

    With `micro_batch_size`, the micro-batches too are the same for any number of processes, which
    take them in turn. What is not of one dataset is a mean over the datasets in which each
    counts as its weight has it: what the same model's training loss would be on these windows.

    Returns:
        The keys of `LossTotals.report`, with "windows" and "dataset_windows".
    """
    totals = LossTotals.zeros(source.dataset_names, world.device)
    factors = _factors(source, world.device)
    prepared = Preparation.of(settings, model.config, world)
    tokens = 0
    count = evaluated_windows(source, settings)
    size = prepared.windows or settings.micro_batch_size or -(-settings.batch_size // world.size)
    with averaged(model, average):
        for first in range(0, count, size * world.size):
            mine = range(count)[first + world.rank * size :][:size]
            inputs = _read(source, mine, prepared, world)
            tokens += inputs.real.rows
            inputs = on_device(inputs, world.device)
            weight = None if factors is None else factors[inputs.targets.dataset]
            row_loss, correct = model(inputs)
            totals.add(inputs.targets, row_loss, correct, weight)
        release_gathered(model)
    report = totals.report(world.sum_tensor(totals.stacked()))
    windows = () if source.first_windows is None else source.first_windows.windows
    named = {name: number for name, number in zip(source.dataset_names, windows, strict=False) if number}
    return {**report, "supervised_tokens": world.sum([tokens])[0], "windows": count, "dataset_windows": named}


def _factors(source: BatchSource, device: torch.device) -> Tensor | None:
    """float64 (D,): what a window of each dataset counts, its share of the weights by the windows that are read."""
    first = source.first_windows
    if first is None:
        return None
    shares = [share / max(windows, 1) for share, windows in zip(first.shares, first.windows, strict=True)]
    return torch.tensor(shares, dtype=torch.float64, device=device)


def _read(source: BatchSource, samples: range, prepared: Preparation, world: World) -> Inputs:
    """This process's windows of a round, once all processes have theirs.

    Raises:
        GatoError: one of them could not read its own.
    """
    failure: GatoError | None = None
    found: list[Inputs] = []
    try:
        found = [*read(source, [samples], prepared)]
    except GatoError as error:
        failure = error
    if world.sum([failure is not None])[0]:
        raise failure or TrainError("another process could not read its validation data; see its message")
    return found[0]
