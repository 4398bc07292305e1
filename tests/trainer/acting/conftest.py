"""A run on two tasks, one of states and one of pixels with a text, that has lost its datasets."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gato_data.mixing.make import plan_mixture
from gato_data.tokenizers.text import TextTokenizer
from gato_schemas.mixture import encode_mixture
from gato_trainer.acting import Policy, load_policy
from gato_trainer.config import ModelConfig
from gato_trainer.presets import train_settings
from gato_trainer.run.train import train
from tests.gato_data.reading import folders
from tests.trainer.conftest import SMALL

CONTEXT = 64
Observation = dict[str, Any]


def write_mixture(folder: Path, **shards: list[folders.Made]) -> Path:
    """Datasets of one shard each, by name, and a mixture of them in equal parts."""
    text_model = TextTokenizer.default()
    for name, episodes in shards.items():
        settings = {"image_size": [48, 32], "image_fit": "crop"} if name == "captions" else {}
        split = {"train": [episodes]}
        folders.write_dataset(folder / name, split, text_model=text_model.sha256, settings=settings)
        text_model.save(folder / name / "text.model")
    weights = ",".join(f"{name}=1" for name in shards)
    path = folder / "mixture.json"
    path.write_bytes(encode_mixture(plan_mixture([folder / name for name in shards], weights, folder=folder)))
    return path


def train_run(mixture: Path, out: Path, model: ModelConfig = SMALL, **options: Any) -> Path:
    values = {"steps": 2, "batch_size": 4, "context_length": CONTEXT, "device": "cpu", **options}
    read = {name: values.pop(name) for name in ("prompt_share", "prompt_tokens", "history") if name in values}
    settings = train_settings("tiny", out, **values)
    settings = dataclasses.replace(settings, model=dataclasses.replace(model, vocabulary_size=33025))
    train(mixture, settings, quiet=True, **read)
    return out


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder; its datasets are deleted."""
    folder = tmp_path_factory.mktemp("acting")
    data = {"walker": folders.episodes("walker", [9, 14], seed=1), "told": folders.episodes("told", [5, 7], seed=2)}
    mixture = write_mixture(folder / "data", **data)
    run = train_run(mixture, folder / "run", ema=0.5)
    shutil.rmtree(folder / "data")
    return run


def lively(path: Path) -> Policy:
    """A policy whose actions depend on all that it sees: two steps of training make none of it."""
    policy = load_policy(path)
    generator = torch.Generator().manual_seed(1)
    for parameter in policy._model.parameters():
        parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return policy


@pytest.fixture
def policy(played: Path) -> Policy:
    return lively(played)


@pytest.fixture(params=["transformer-xl", "rope"], scope="session")
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with either kind of positions."""
    folder = tmp_path_factory.mktemp("either")
    mixture = write_mixture(folder, told=folders.episodes("told", [5, 7], seed=2))
    model = dataclasses.replace(SMALL, positions=request.param)
    return train_run(mixture, folder / "run", model, learning_rate=1e-2, steps=4)


def observations(task: str, count: int, seed: int = 0) -> list[Observation]:
    generator = np.random.default_rng(seed)
    if task == "walker":
        return [{"state": generator.normal(size=5)} for _ in range(count)]
    return [
        {
            "told": "go " * int(generator.integers(1, 4)),
            "camera": generator.integers(0, 255, (32, 32, 3), dtype=np.uint8),
            "state": generator.normal(size=3),
        }
        for _ in range(count)
    ]
