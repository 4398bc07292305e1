"""Batches that are filled up give the numbers of those that are not."""

import dataclasses
import gc
from collections.abc import Callable

import pytest
import torch

from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.data.feed import Preparation
from gato_trainer.data.inputs import Inputs, Randomness, prepare
from gato_trainer.data.padding import padded
from gato_trainer.model.loss import LossTotals
from gato_trainer.model.transformer import Gato
from gato_trainer.run.plan import Work
from gato_trainer.world import World
from tests.trainer.synthetic import SyntheticSource


def step(model: Gato, inputs: Inputs) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Gradients of the summed loss, and the sums that are logged."""
    totals = LossTotals.zeros(("control", "text"), torch.device("cpu"))
    row_loss, correct = model(inputs)
    totals.add(inputs.targets, row_loss, correct)
    return list(torch.autograd.grad(row_loss.sum(), list(model.parameters()))), totals.stacked()


@pytest.mark.parametrize("gathered", [False, True])
def test_losses_and_gradients_stay(
    gathered: bool, small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource
) -> None:
    config = dataclasses.replace(small, stochastic_depth=0.3, dropout=0.1)
    model = build(config, dtype=torch.float64)
    inputs = prepare(source.batch(range(4)), config, Randomness(0, 1))
    filled = padded(inputs, 6)
    assert len(filled.tokens) == 6
    assert len(filled.targets.rows) > len(inputs.targets.rows)
    assert len(filled.patch_slot) > len(inputs.patch_slot)
    assert dataclasses.replace(Work.of(filled), skipped=0) == dataclasses.replace(Work.of(inputs), skipped=0)
    assert filled.skipped == pytest.approx(inputs.skipped)
    gradients, sums = step(model, filled.gathered(in_buckets=True) if gathered else filled)
    wanted, wanted_sums = step(model, inputs)
    torch.testing.assert_close(sums, wanted_sums, rtol=1e-12, atol=0)
    for found, expected in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_a_batch_without_patches_or_targets_is_filled_up(small: ModelConfig, build: Callable[..., Gato]) -> None:
    text = SyntheticSource(context_length=24, vocabulary_size=1200, text_every=1)
    inputs = padded(prepare(text.batch(range(2)), small, None).unsupervised(), 2)
    assert (len(inputs.distinct_patches), inputs.real) == (64, (2, 0, 0))
    loss = build(small)(inputs)[0].sum()
    loss.backward()
    assert loss == 0


def test_sizes_are_few(small_settings: Callable[..., TrainSettings], source: SyntheticSource) -> None:
    settings = small_settings(batch_size=11, micro_batch_size=4, compile=True)
    world = World(0, 1, torch.device("cpu"))
    prepared = Preparation.of(settings, settings.model, world)
    sizes = set()
    for first in range(0, 120, 3):
        count = 3 + first % 2
        inputs = prepared(source.batch(range(first, first + count)), range(count), None)
        sizes.add(tuple(tuple(tensor.shape) for tensor in inputs.tensors()))
    assert len(sizes) <= 2
    plain = Preparation.of(dataclasses.replace(settings, compile=None), settings.model, world)
    assert plain.windows is None


def test_steps_leave_no_tensors_behind(small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource) -> None:
    config = dataclasses.replace(small, stochastic_depth=0.3)
    model = build(config)
    model.dtype = torch.bfloat16
    prepared = Preparation(config, 4)
    counts = []
    for number in range(6):
        samples = range(4 * number, 4 * number + 3 + number % 2)
        model(prepared(source.batch(samples), samples, Randomness(0, number)))[0].sum().backward()
        gc.collect()
        counts.append(sum(issubclass(type(found), torch.Tensor) for found in gc.get_objects()))
    assert counts[-1] <= counts[1]
