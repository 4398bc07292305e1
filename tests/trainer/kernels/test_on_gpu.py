"""What only a GPU can show: bf16 at the paper's widths, offsets beyond 32 bits, graphs, no waiting, loss curves."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gato_trainer.config import Positions
from gato_trainer.kernels import FUSED, REFERENCE, Operations, Shapes, operations
from gato_trainer.kernels.self_test import cases, compare
from gato_trainer.presets import PRESETS, train_settings
from gato_trainer.run.train import run
from tests.trainer.synthetic import SyntheticSource

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

SIZES = ("79m", "364m", "1.2b")


def shapes_of(size: str, windows: int = 8, name: str = "relative_attention") -> Shapes:
    """Of a run that uses the operation `name`: the two kinds of attention exclude each other."""
    positions: Positions = "rope" if name == "rotary_attention" else "transformer-xl"
    model = dataclasses.replace(PRESETS[size].model, positions=positions)
    return Shapes(model=model, windows=windows, length=1024, dtype=torch.bfloat16, device=torch.device("cuda"))


def roomy(gigabytes: int) -> None:
    free = torch.cuda.mem_get_info()[0] / 1e9
    if free < gigabytes:
        pytest.skip(f"a GPU with {gigabytes} GB free is needed, {free:.0f} GB are")


@pytest.fixture(scope="module")
def fused() -> Operations:
    return operations("fused", shapes_of("79m", windows=2))


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FUSED)
def test_bf16_errors_are_at_most_twice_torchs(name: str, size: str) -> None:
    operation = getattr(operations("auto", shapes_of(size, windows=1, name=name)), name)
    assert operation is not getattr(REFERENCE, name)
    for given in cases(name, shapes_of(size)):
        assert compare(operation, getattr(REFERENCE, name), given, torch.bfloat16) is None


@pytest.mark.parametrize("name", ["relative_attention", "rotary_attention"])
def test_nothing_falls_back(name: str) -> None:
    for size in SIZES:
        chosen = operations("auto", shapes_of(size, windows=1, name=name))
        assert chosen.name == "fused", chosen.summary


def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return (torch.randn(shape, device="cuda", dtype=torch.bfloat16) * scale).requires_grad_()


def test_norm_beyond_32_bits(fused: Operations) -> None:
    roomy(60)
    n, width = 2**20 + 3, 2048
    gain, bias = (torch.randn(width, device="cuda").requires_grad_() for _ in range(2))
    x, branch = normal(n, width), normal(n, width)
    keep = torch.full((n,), 1.25, device="cuda")
    last = [tensor.detach()[-5:].clone().requires_grad_() for tensor in (x, branch)]
    results = fused.add_norm(x, branch, keep, gain, bias)
    expected = REFERENCE.add_norm(*last, keep[-5:], gain, bias)
    for found, right in zip(results, expected, strict=True):
        torch.testing.assert_close(found[-5:], right, rtol=2e-2, atol=2e-2)
    found = torch.autograd.grad(results[1].sum(), [x, branch])
    for gradient, right in zip(found, torch.autograd.grad(expected[1].sum(), last), strict=True):
        torch.testing.assert_close(gradient[-5:], right, rtol=5e-2, atol=5e-2)


def test_geglu_beyond_32_bits(fused: Operations) -> None:
    roomy(60)
    x, bias = normal(2**18 + 3, 8192), torch.randn(8192, device="cuda").requires_grad_()
    last = x.detach()[-5:].clone().requires_grad_()
    result, expected = fused.geglu(x, bias), REFERENCE.geglu(last, bias)
    torch.testing.assert_close(result[-5:], expected, rtol=2e-2, atol=2e-2)
    (found,) = torch.autograd.grad(result.sum(), x)
    (right,) = torch.autograd.grad(expected.sum(), last)
    torch.testing.assert_close(found[-5:], right, rtol=5e-2, atol=5e-2)


def test_logits_beyond_32_bits(fused: Operations, monkeypatch: pytest.MonkeyPatch) -> None:
    roomy(30)
    monkeypatch.setattr("gato_trainer.kernels.fused_cross_entropy.KEPT_ROWS", 2**17)
    n = 2**16 + 5  # times 33,152 logits
    hidden, table = normal(n, 64), torch.randn(33025, 64, device="cuda").requires_grad_()
    target = torch.randint(33025, (n,), device="cuda")
    last = hidden.detach()[-5:].clone().requires_grad_()
    loss, _ = fused.linear_cross_entropy(hidden, table, target)
    expected, _ = REFERENCE.linear_cross_entropy(last, table, target[-5:])
    torch.testing.assert_close(loss[-5:], expected, rtol=2e-2, atol=2e-2)
    (found,) = torch.autograd.grad(loss.sum(), hidden)
    (right,) = torch.autograd.grad(expected.sum(), last)
    torch.testing.assert_close(found[-5:], right, rtol=5e-2, atol=5e-2)


def test_embedding_beyond_32_bits(fused: Operations) -> None:
    roomy(40)
    config = dataclasses.replace(PRESETS["1.2b"].model, vocabulary_size=1000)
    shapes = dataclasses.replace(shapes_of("1.2b"), model=config)
    given = cases("embed", dataclasses.replace(shapes, windows=1))[0]
    count = 1025  # windows of 1,024 tokens of 2,048 values
    given[4], given[5] = given[4].repeat(count, 1), given[5].repeat(count, 1)
    result = fused.embed(*given)
    assert result.numel() > 2**31
    one = [*given[:4], given[4][-1:], given[5][-1:], *given[6:]]
    one[6:10] = [argument[:0] for argument in given[6:10]]
    torch.testing.assert_close(result[-1:], REFERENCE.embed(*one), rtol=2e-2, atol=2e-2)
    (found,) = torch.autograd.grad(result.float().sum(), given[0])
    text = given[4].flatten().clone()
    text[given[7]] = 1000
    expected = torch.bincount(text, minlength=1001)[:1000].float()[:, None].expand_as(found)
    torch.testing.assert_close(found, expected)


def gradients(operation: Callable[..., Any], given: list[Any]) -> list[torch.Tensor]:
    results = operation(*given)
    results = results if isinstance(results, tuple) else (results,)
    inputs = [argument for argument in given if isinstance(argument, torch.Tensor) and argument.requires_grad]
    roots = [result for result in results if result.requires_grad]
    found = torch.autograd.grad(roots, inputs, [torch.ones_like(root) for root in roots])
    return [*(result.detach() for result in results), *found]


@pytest.mark.parametrize("name", FUSED)
def test_graphs_and_no_waiting(name: str) -> None:
    shapes = shapes_of("79m", windows=2, name=name)
    operation = getattr(operations("auto", shapes), name)
    assert operation is not getattr(REFERENCE, name)
    given = cases(name, shapes)[0]
    torch.cuda.set_sync_debug_mode("error")
    try:
        expected = gradients(operation, given)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    graph = torch.cuda.CUDAGraph()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        gradients(operation, given)
    torch.cuda.current_stream().wait_stream(side)
    with torch.cuda.graph(graph):
        found = gradients(operation, given)
    for _ in range(2):
        for tensor in found:
            tensor.zero_()
        graph.replay()
        torch.cuda.synchronize()
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b)


def test_a_row_that_occurs_always_gives_the_same_bits() -> None:
    from gato_trainer.kernels.fused_embedding import sum_by_row

    values = torch.randn(300_000, 768, device="cuda").bfloat16()
    row = torch.randint(100, (300_000,), device="cuda")
    row[::2] = 7
    first = sum_by_row(values, row, 33025)
    assert all(torch.equal(first, sum_by_row(values, row, 33025)) for _ in range(3))
    expected = torch.zeros(33025, 768, device="cuda", dtype=torch.float64).index_add_(0, row, values.double())
    torch.testing.assert_close(first.double(), expected, rtol=1e-4, atol=1e-2)


def test_loss_curves_in_bf16(tmp_path: Path) -> None:
    """50 steps compiled: fused and reference may differ by the noise of bf16 and no more."""
    curves = []
    for kernels in ("reference", "fused"):
        settings = train_settings(
            "79m", tmp_path / kernels, steps=50, batch_size=8, log_every=1, device="cuda", kernels=kernels
        )
        source = SyntheticSource(context_length=settings.context_length, patches=40)
        curves.append(torch.tensor([loss for _, loss in run(settings, source, quiet=True).losses]))
    plain, fused = curves
    assert plain[-5:].mean() < plain[:5].mean()
    torch.testing.assert_close(fused, plain, rtol=2e-2, atol=2e-2)
