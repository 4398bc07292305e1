"""Initial parameters."""

import dataclasses
import math
from typing import Literal

import pytest
import torch

from gato_trainer.config import ModelConfig
from gato_trainer.model.initialize import initialize
from gato_trainer.model.transformer import Gato


def _made(config: ModelConfig) -> dict[str, torch.Tensor]:
    model = Gato(config)
    initialize(model, 0)
    return dict(model.named_parameters())


@pytest.fixture
def wide(small: ModelConfig) -> ModelConfig:
    return dataclasses.replace(small, width=256, heads=4, feed_forward=512, vocabulary_size=2000)


@pytest.mark.parametrize("initialization", ["gpt-2", "fan-in"])
def test_matrices_have_the_deviation_that_is_asked_for(
    wide: ModelConfig, initialization: Literal["gpt-2", "fan-in"]
) -> None:
    config = dataclasses.replace(wide, initialization=initialization)
    depth = math.sqrt(2 * config.blocks)
    deviations = {"attention.qkv": 1.0, "attention.output": depth, "feed_forward.up": 1.0, "feed_forward.down": depth}
    parameters = _made(config)
    for name, divisor in deviations.items():
        value = parameters[f"blocks.0.{name}"]
        wanted = (0.02 if initialization == "gpt-2" else 1 / math.sqrt(value.shape[1])) / divisor
        assert value.std().item() == pytest.approx(wanted, rel=0.02), name


@pytest.mark.parametrize("table", ["table", "local_table", "row_table", "column_table"])
def test_tables_do_not_depend_on_it(wide: ModelConfig, table: str) -> None:
    each = [
        _made(dataclasses.replace(wide, initialization=initialization))[f"embedding.{table}"]
        for initialization in ("gpt-2", "fan-in")
    ]
    assert torch.equal(*each)
    assert each[0].std().item() == pytest.approx(0.02, rel=0.05)
