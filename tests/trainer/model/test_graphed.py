"""What of CUDA graphs can be shown without a GPU: buffers, sizes and gradients; a recording computes again."""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch

from gato_data.errors import TrainError
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.data.feed import Preparation
from gato_trainer.data.inputs import Randomness
from gato_trainer.model.graphed import Graphed, check_graph
from gato_trainer.model.sharding import check_processes
from gato_trainer.model.transformer import Gato
from gato_trainer.run.train import run
from gato_trainer.world import World
from tests.trainer.synthetic import SyntheticSource

CPU = World(0, 1, torch.device("cpu"))


def test_steps_are_those_of_the_model(small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource) -> None:
    recorded = []

    def capture(computation: Callable[[], None]) -> Callable[[], None]:
        recorded.append(computation)
        computation()
        recording = cast(Any, computation).__self__

        def again() -> None:
            """A graph writes its results where they were."""
            memory = recording.gradients
            computation()
            if memory:
                torch._foreach_copy_(memory, recording.gradients)
                recording.gradients = memory

        return again

    config = dataclasses.replace(small, stochastic_depth=0.3)
    plain, other = build(config), build(config)
    graphed = Graphed(other, capture)
    prepared = Preparation(config, 4, gathered=False)
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in (plain, other)]
    for step in range(5):
        for optimizer in optimizers:
            optimizer.zero_grad()
        for first in (8 * step, 8 * step + 4):  # whose gradients add up
            samples = range(first, first + 3 + step % 2)
            inputs = prepared(source.batch(samples), samples, Randomness(0, step))
            losses = []
            for forward in (plain, graphed):
                row_loss, correct = forward(inputs)
                (row_loss.sum() / 50).backward()
                losses.append((row_loss.detach().clone(), correct.clone()))
            assert torch.equal(losses[0][0], losses[1][0])
            assert torch.equal(losses[0][1], losses[1][1])
        for optimizer in optimizers:
            optimizer.step()
    assert 2 <= len(recorded) <= 4  # a forward and a backward of each combination of sizes
    for wanted, found in zip(plain.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, wanted)


def test_where_there_are_none(small_settings: Callable[..., TrainSettings], source: SyntheticSource) -> None:
    settings = small_settings(cuda_graph=True)
    with pytest.raises(TrainError, match="--cuda-graph needs a CUDA GPU, and this run is on cpu: leave it out"):
        run(settings, source, quiet=True)
    assert not settings.out.exists()
    with pytest.raises(TrainError, match="--cuda-graph is for one process, 2 are running"):
        check_processes(settings, 2)
    check_graph(small_settings(), CPU)
    assert not Preparation.of(settings, settings.model, CPU).gathered
