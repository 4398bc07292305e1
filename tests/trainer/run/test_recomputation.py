"""Activations that are computed twice: the same losses and parameters, with all randomness of training."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gato_trainer.checkpoints.saving import committed
from gato_trainer.config import TrainSettings
from gato_trainer.model.transformer import Block
from gato_trainer.run.train import run
from tests.trainer.synthetic import SyntheticSource
from tests.trainer.test_world import run_processes

Make = Callable[..., TrainSettings]


def random_model(settings: TrainSettings, **changes: Any) -> Any:
    """With dropout, and sub-layers that are skipped often."""
    return dataclasses.replace(settings.model, dropout=0.1, stochastic_depth=0.4, **changes)


@pytest.mark.parametrize(
    ("positions", "options"),
    [("transformer-xl", {"micro_batch_size": 3}), ("rope", {"precision": "bf16"}), ("rope", {"ema": 0.5})],
)
def test_a_run_is_the_same_to_the_bit(
    positions: str, options: dict[str, Any], small_settings: Make, source: SyntheticSource
) -> None:
    model = random_model(small_settings(), positions=positions)
    stored = []
    for again in ("off", "on"):
        settings = small_settings(again, model=model, steps=3, activation_checkpointing=again, **options)
        losses = run(settings, source, source, quiet=True).losses
        ((_, path),) = committed(settings.out / "checkpoints")
        stored.append((losses, load_file(next(path.glob("*.safetensors")))))
    (kept, first), (twice, second) = stored
    assert kept == twice
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("sharding", ["zero2", "full"])
def test_sharded_processes_compute_twice(sharding: str, small_settings: Make, source: SyntheticSource) -> None:
    model = random_model(small_settings())
    expected = run(small_settings("one", model=model, steps=3), source, quiet=True)
    many = small_settings("many", model=model)
    task = {
        "settings": {
            "steps": 3,
            "batch_size": 4,
            "context_length": 24,
            "log_every": 1,
            "out": str(many.out),
            "sharding": sharding,
            "micro_batch_size": 1,
            "activation_checkpointing": "on",
        },
        "model": dataclasses.asdict(model),
        "source": dataclasses.asdict(source),
    }
    result = run_processes(task, 2)
    assert [loss for _, loss in result["losses"]] == pytest.approx([loss for _, loss in expected.losses], rel=1e-5)


def test_compiled_blocks_compute_twice(
    small_settings: Make, source: SyntheticSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of torch.compile but the code that it would write."""
    compiled = torch.nn.Module.compile
    monkeypatch.setattr(Block, "compile", lambda self, **options: compiled(self, backend="aot_eager", **options))
    model = random_model(small_settings())
    losses = [
        run(
            small_settings(again, model=model, steps=2, compile=True, activation_checkpointing=again),
            source,
            quiet=True,
        ).losses
        for again in ("off", "on")
    ]
    assert [loss for _, loss in losses[1]] == pytest.approx([loss for _, loss in losses[0]], rel=1e-5)
