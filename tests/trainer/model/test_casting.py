"""Matrices that are cast once for many micro-batches, beside those that every use casts."""

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gato_trainer.config import ModelConfig
from gato_trainer.data.inputs import Randomness, prepare
from gato_trainer.model.transformer import Gato
from tests.trainer.synthetic import SyntheticSource


class Casts(TorchDispatchMode):
    """Counts casts of the shape of a block's projection of queries, keys and values."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.shape, self.found = shape, Counter[str]()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = func.name()
        if name == "aten::_to_copy" and args[0].shape == self.shape and kwargs["dtype"] == torch.bfloat16:
            self.found["use"] += 1
        self.found["step"] += name == "aten::_foreach_copy_"
        return func(*args, **(kwargs or {}))


def train(model: Gato, source: SyntheticSource, config: ModelConfig, *, once: bool) -> list[torch.Tensor]:
    """Losses of 3 steps of 2 micro-batches, and the parameters behind them."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True)
    losses = []
    for step in range(3):
        optimizer.zero_grad()
        with model.cast_once() if once else nullcontext():
            for part in range(2):
                samples = range(4 * step + 2 * part, 4 * step + 2 * part + 2)
                loss = model(prepare(source.batch(samples), config, Randomness(0, step)).gathered())[0].sum()
                loss.backward()
                losses.append(loss.detach())
        optimizer.step()
    return [*losses, *(parameter.detach() for parameter in model.parameters())]


def test_matrices_are_cast_once_a_step(small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource) -> None:
    results, casts = [], []
    for once in (True, False):
        model = build(small)
        model.dtype = torch.bfloat16
        with Casts(model.get_parameter("blocks.0.attention.qkv").shape) as counted:
            results.append(train(model, source, small, once=once))
        casts.append((counted.found["step"], counted.found["use"]))
    assert casts == [(3, 0), (0, 3 * 2 * small.blocks)]
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))
