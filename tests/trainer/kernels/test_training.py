"""Whole runs with the fused operations on and off: the same losses, and each continues the other's checkpoints."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.data.skipping import Kept
from gato_trainer.kernels import Operations, Shapes, operations
from gato_trainer.model.stream import BlockNoise, Stream
from gato_trainer.model.transformer import Block
from gato_trainer.presets import train_settings
from gato_trainer.run.train import run
from tests.trainer.synthetic import SyntheticSource

MODEL = ModelConfig(
    width=16, blocks=1, heads=1, feed_forward=32, vocabulary_size=1200, local_positions=8, patch_channels=32
)


@pytest.fixture(autouse=True)
def bounded() -> None:
    """Whole runs are slow enough in the interpreter; accesses are checked by the tests of each operation."""


@pytest.fixture
def train(tmp_path: Path, device: torch.device, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[int, float]]:
    # The interpreter takes as long for padding as for patches.
    monkeypatch.setattr("gato_data.distinct_patches._LEAST_BUCKET", 4)

    def make(name: str, **options: Any) -> dict[int, float]:
        source = SyntheticSource(context_length=12, vocabulary_size=1200, patches=2)
        values = {"batch_size": 2, "context_length": 12, "log_every": 1, "device": device.type, "precision": "fp32"}
        settings: TrainSettings = train_settings(
            "tiny", tmp_path / name, **{**values, "learning_rate": 1e-2, "compile": False, **options}
        )
        return dict(run(dataclasses.replace(settings, model=MODEL), source, quiet=True).losses)

    return make


def test_a_loss_curve_with_and_without(train: Callable[..., dict[int, float]]) -> None:
    plain = train("plain", steps=50, batch_size=1, kernels="reference")
    fused = train("fused", steps=50, batch_size=1, kernels="fused")
    assert len(plain) == 50
    assert min(plain.values()) < plain[1] - 1
    assert fused == pytest.approx(plain, rel=2e-4)


def test_checkpoints_do_not_depend_on_the_kernels(train: Callable[..., dict[int, float]]) -> None:
    whole = train("whole", steps=4, kernels="reference")
    train("mixed", steps=4, stop_step=2, kernels="fused")
    rest = train("mixed", steps=4, kernels="reference", resume="yes")
    assert sorted(rest) == [3, 4]
    assert rest == pytest.approx({step: whole[step] for step in rest}, rel=1e-4)


def test_a_block_compiles_as_one_graph(shapes: Callable[..., Shapes], device: torch.device) -> None:
    def gradients(block: Callable[..., Stream], made: Block) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        x, branch = (torch.randn(2, 6, 16, generator=generator).to(device).requires_grad_() for _ in range(2))
        keep = torch.tensor([0.0, 1.1], device=device)
        positions = torch.randn(6, 16, generator=generator).to(device)
        total, out = block(Stream(x, branch, Kept(keep)), positions, None, BlockNoise(Kept(keep.flip(0))))[:2]
        wanted = [x, branch, *made.parameters()]
        return [total, out, *torch.autograd.grad((total * out).sum(), wanted)]

    chosen: Operations = operations("fused", dataclasses.replace(shapes(), model=MODEL))
    made = Block(MODEL, chosen).to(device)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    compiled = torch.compile(made, backend="aot_eager", fullgraph=True, dynamic=False)
    for expected, found in zip(gradients(made, made), gradients(compiled, made), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_custom_operations_keep_torchs_rules(device: torch.device) -> None:
    from gato_trainer.kernels import fused_geglu, fused_norm

    x, branch = (torch.randn(3, 8, device=device).requires_grad_() for _ in range(2))
    gain, bias = (torch.randn(8, device=device).requires_grad_() for _ in range(2))
    keep = torch.tensor([0.0, 1.0, 2.0], device=device)
    torch.library.opcheck(fused_norm._add_norm, (x, branch, keep, gain, bias))
    torch.library.opcheck(fused_norm._add_norm, (x, None, None, gain, bias))
    torch.library.opcheck(fused_geglu._geglu, (x, bias))
