import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.model.initialize import materialize
from gato_trainer.model.transformer import Gato
from gato_trainer.presets import train_settings
from tests.trainer.synthetic import SyntheticSource

torch.set_num_threads(1)  # the shapes are tiny, and other tests may run beside

SMALL = ModelConfig(width=32, blocks=2, heads=2, feed_forward=64, vocabulary_size=1200, patch_channels=32, patch_grid=2)


@pytest.fixture(scope="session")
def small() -> ModelConfig:
    return SMALL


@pytest.fixture
def source() -> SyntheticSource:
    return SyntheticSource(context_length=24, vocabulary_size=1200, patches=4)


@pytest.fixture
def small_settings(tmp_path: Path) -> Callable[..., TrainSettings]:
    def make(name: str = "run", *, model: ModelConfig = SMALL, **options: Any) -> TrainSettings:
        values = {"steps": 6, "batch_size": 4, "context_length": 24, "log_every": 1, "device": "cpu"}
        settings = train_settings("tiny", tmp_path / name, **{**values, **options})
        return dataclasses.replace(settings, model=model)

    return make


@pytest.fixture
def build() -> Callable[..., Gato]:
    def make(config: ModelConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> Gato:
        with torch.device("meta"):
            model = Gato(config)
        materialize(model, torch.device("cpu"), seed)
        # Initial values keep biases at zero, which would hide mistakes with them.
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
        model.dtype = dtype
        return model.to(dtype)

    return make
