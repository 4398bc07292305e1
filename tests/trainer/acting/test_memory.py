import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gato_trainer.acting.memory import Memory
from gato_trainer.config import ModelConfig
from gato_trainer.data.inputs import Inputs, prepare
from gato_trainer.model.transformer import Gato
from tests.trainer.synthetic import SyntheticSource

Build = Callable[..., Gato]


@pytest.fixture(params=["transformer-xl", "rope"])
def config(request: pytest.FixtureRequest, small: ModelConfig) -> ModelConfig:
    return dataclasses.replace(small, positions=request.param)


def windows(config: ModelConfig, count: int = 3) -> Inputs:
    """Whole windows of timesteps with patches: 24 tokens, six a timestep."""
    return prepare(SyntheticSource(24, config.vocabulary_size, text_every=0).batch(range(count)), config, None)


@torch.no_grad()
def taught(model: Gato, inputs: Inputs) -> tuple[Tensor, Tensor]:
    """What training embeds and makes of windows: two (B, T, D)."""
    return model.embedding(inputs, model.dtype), model.hidden(inputs, every=True)


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("steps", [[24], [5, 1] * 4, [1] * 24, [4, 1, 1, 10, 1, 7]])
def test_every_token_is_what_training_makes_of_it(config: ModelConfig, build: Build, steps: list[int]) -> None:
    model = build(config)
    x, wanted = taught(model, windows(config))
    memory = Memory(model, 3, 24)
    at = 0
    for count in steps:
        found = memory.extend(x[:, at : at + count].flatten(0, 1), [count] * 3, every=True)
        close(found.view(3, count, -1), wanted[:, at : at + count])
        at += count
    assert [memory.length(environment) for environment in range(3)] == [24] * 3


def test_environments_at_different_places_do_not_touch_each_other(config: ModelConfig, build: Build) -> None:
    model = build(config)
    x, wanted = taught(model, windows(config))
    memory = Memory(model, 3, 24)
    at = [0, 0, 0]
    for counts in ([6, 6, 0], [1, 1, 4], [0, 3, 3], [5, 0, 5], [1, 1, 1], [7, 13, 11]):
        ends = [start + count for start, count in zip(at, counts, strict=True)]
        pieces = [x[e, start:end] for e, (start, end) in enumerate(zip(at, ends, strict=True))]
        found = memory.extend(torch.cat(pieces), counts)
        close(found, torch.stack([wanted[e, end - 1] for e, end in enumerate(ends) if counts[e]]))
        at = ends


def test_what_is_kept_can_be_gone_on_from(config: ModelConfig, build: Build) -> None:
    model = build(config)
    x, wanted = taught(model, windows(config))
    memory = Memory(model, 2, 24)
    memory.extend(x[0, :18], [18, 0])
    memory.keep(0, 6)
    close(memory.extend(x[0, 6:], [18, 0], every=True), wanted[0, 6:])
    memory.keep(0, 12)
    memory.begin(1, memory.prefix(0))
    close(memory.extend(x[0, 12:], [0, 12], every=True), wanted[0, 12:])
    memory.begin(1)
    close(memory.extend(x[1, :7], [0, 7], every=True), wanted[1, :7])


def test_dropped_tokens_are_seen_no_more_and_distances_stay(config: ModelConfig, build: Build) -> None:
    """One block alone takes nothing from tokens before those it sees, so dropping is exact there."""
    model = build(dataclasses.replace(config, blocks=1))
    x, _ = taught(model, windows(config, 1))
    long = torch.cat([x[0], x[0].flip(0), x[0]])
    memory = Memory(model, 1, 24, spare=12)
    for start in range(0, len(long), 6):
        if memory.length(0) + 6 > 24:
            memory.drop(0, 6)
        found = memory.extend(long[start : start + 6], [6], every=True)
        alone = Memory(model, 1, 24)
        whole = alone.extend(long[max(0, start - 18) : start + 6], [min(start, 18) + 6], every=True)
        close(found, whole[-6:])


def test_more_than_the_window_is_refused(config: ModelConfig, build: Build) -> None:
    memory = Memory(build(config), 1, 10)
    memory.extend(torch.zeros(6, config.width), [6])
    with pytest.raises(ValueError, match="6 \\+ 5 tokens are more than 10"):
        memory.extend(torch.zeros(5, config.width), [5])
