"""Attention in tiles beside its reference, at the tiles that a GPU gets: lengths that do not fill them, episodes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from gato_trainer.kernels import REFERENCE, Shapes
from gato_trainer.kernels.self_test import compare

Given = list[Any]


def draw(device: torch.device, dtype: torch.dtype, *shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(device, dtype).requires_grad_()


def queries(device: torch.device, dtype: torch.dtype, windows: int, heads: int, length: int, size: int) -> Given:
    return [draw(device, dtype, windows, heads, length, size, seed=seed) for seed in range(3)]


def episodes(device: torch.device, windows: int, length: int) -> torch.Tensor:
    """Three a window, the borders elsewhere in each."""
    place = torch.arange(length) + 5 * torch.arange(windows)[:, None]
    return (place // (length // 3 + 1)).to(device)


def relative(device: torch.device, dtype: torch.dtype, shape: tuple[int, int, int, int], packed: bool) -> Given:
    windows, heads, length, size = shape
    given = queries(device, dtype, *shape)
    given.append(draw(device, dtype, heads, length, size, seed=3))
    given += [draw(device, torch.float32, heads, size, seed=seed) for seed in (4, 5)]
    return [*given, episodes(device, windows, length) if packed else None]


def rotary(device: torch.device, dtype: torch.dtype, shape: tuple[int, int, int, int], packed: bool) -> Given:
    windows, _, length, size = shape
    angle = 50 * draw(device, torch.float32, length, size // 2, seed=3).detach()
    return [*queries(device, dtype, *shape), angle, episodes(device, windows, length) if packed else None]


@pytest.fixture
def check(device: torch.device) -> Callable[..., None]:
    def checked(name: str, given: Given, dtype: torch.dtype = torch.float32) -> None:
        from gato_trainer.kernels import fused_relative_attention, fused_rotary_attention

        module = {"relative": fused_relative_attention, "rotary": fused_rotary_attention}[name]
        operation = getattr(module, f"{name}_attention")
        assert compare(operation, getattr(REFERENCE, f"{name}_attention"), given, dtype) is None

    return checked


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(
    ("windows", "heads", "length", "size", "dtype", "packed"),
    [
        (2, 1, 80, 32, torch.float32, True),  # two tiles of queries, three of keys; the last are not full
        (1, 2, 37, 16, torch.float16, False),
        (1, 1, 37, 128, torch.float32, True),
        (1, 1, 64, 64, torch.float16, False),
        (3, 1, 2, 16, torch.float32, False),
    ],
    ids=str,
)
def test_relative(
    windows: int, heads: int, length: int, size: int, dtype: torch.dtype, packed: bool, device: torch.device,
    check: Callable[..., None],
) -> None:  # fmt: skip
    check("relative", relative(device, dtype, (windows, heads, length, size), packed), dtype)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(
    ("windows", "heads", "length", "size", "dtype", "packed"),
    [
        (1, 2, 150, 32, torch.float32, False),
        (2, 1, 37, 16, torch.float16, True),
        (1, 1, 70, 128, torch.float32, True),
        (2, 2, 37, 128, torch.float16, False),  # torch's own attention
        (1, 1, 2, 32, torch.float32, False),
    ],
    ids=str,
)
def test_rotary(
    windows: int, heads: int, length: int, size: int, dtype: torch.dtype, packed: bool, device: torch.device,
    check: Callable[..., None],
) -> None:  # fmt: skip
    check("rotary", rotary(device, dtype, (windows, heads, length, size), packed), dtype)


def test_windows_that_do_not_fit_at_once(
    device: torch.device, check: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gato_trainer.kernels import fused_attention, fused_attention_tiles

    given = relative(device, torch.float32, (3, 2, 20, 16), packed=False)
    padded = fused_attention_tiles.cut(16, True).queries.rows
    monkeypatch.setattr(fused_attention, "BAND_BYTES", 2 * (2 * padded * padded * 4))  # two windows, then one
    check("relative", given)


def test_a_window_of_one_token(device: torch.device) -> None:
    from gato_trainer.kernels.fused_relative_attention import relative_attention

    given = relative(device, torch.float32, (2, 1, 1, 16), packed=False)
    out = relative_attention(*given)
    torch.testing.assert_close(out, given[2])
    dq, dk, dv = torch.autograd.grad(out.sum(), given[:3])
    torch.testing.assert_close(dv, torch.ones_like(dv))
    torch.testing.assert_close(dq, torch.zeros_like(dq), rtol=0, atol=1e-5)
    torch.testing.assert_close(dk, torch.zeros_like(dk), rtol=0, atol=1e-5)


def test_slices_of_a_projection_are_not_copied(device: torch.device) -> None:
    from gato_trainer.kernels.fused_attention import with_steps

    projection = torch.randn(2, 5, 3, 2, 16, device=device)
    for x in projection.permute(2, 0, 3, 1, 4).unbind(0):
        assert with_steps(x) is x
    flat = torch.randn(2, 2, 5, 16, device=device)
    assert torch.equal(with_steps(flat), flat)
    assert with_steps(flat).stride() == (160, 16, 32, 1)


def test_slices_of_a_projection(device: torch.device) -> None:
    from gato_trainer.kernels.fused_relative_attention import relative_attention

    projection = draw(device, torch.float32, 2, 11, 3, 2, 16)
    distance = draw(device, torch.float32, 11, 2, 16, seed=1)
    biases = [draw(device, torch.float32, 2, 16, seed=seed) for seed in (2, 3)]

    def gradients(operation: Callable[..., torch.Tensor]) -> tuple[torch.Tensor, ...]:
        out = operation(*projection.permute(2, 0, 3, 1, 4).unbind(0), distance.transpose(0, 1), *biases)
        return torch.autograd.grad(out.square().sum(), [projection, distance, *biases])

    for found, expected in zip(gradients(relative_attention), gradients(REFERENCE.relative_attention), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_same_bits_every_time(device: torch.device) -> None:
    from gato_trainer.kernels.fused_relative_attention import relative_attention

    given = relative(device, torch.float32, (3, 1, 20, 16), packed=True)

    def run() -> list[torch.Tensor]:
        out = relative_attention(*given)
        return [out, *torch.autograd.grad(out.square().sum(), given[:-1])]

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))


@pytest.mark.filterwarnings("ignore:overflow encountered in exp2")  # of scores that are hidden afterwards
def test_large_scores_stay_finite(device: torch.device) -> None:
    from gato_trainer.kernels.fused_relative_attention import relative_attention

    given = relative(device, torch.float32, (1, 1, 40, 16), packed=False)
    given[0] = (given[0].detach() * 1e4).requires_grad_()
    out = relative_attention(*given)
    torch.testing.assert_close(out, REFERENCE.relative_attention(*given), rtol=1e-3, atol=1e-3)
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(out.sum(), given[:-1]))


def test_the_custom_operations_keep_torchs_rules(device: torch.device) -> None:
    from gato_trainer.kernels import fused_relative_attention, fused_rotary_attention

    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    given = relative(device, torch.float32, (1, 1, 5, 16), packed=True)
    torch.library.opcheck(fused_relative_attention._attention, tuple(given), test_utils=checks)
    q, k, v = given[:3]
    torch.library.opcheck(fused_rotary_attention._attention, (q, k, v, None), test_utils=checks)
    angle = torch.rand(5, 8, device=device)
    torch.library.opcheck(fused_rotary_attention._rotate, (q, k, angle.cos(), angle.sin(), False), test_utils=checks)


def test_what_the_kernels_do_not_take(shapes: Callable[..., Shapes]) -> None:
    from gato_trainer.kernels.fused_relative_attention import why_not

    assert why_not(shapes(width=32)) is None
    assert why_not(shapes(width=48)) == "its heads have 48 features, and the kernels take 16, 32, 64, 128"
    on_gpu = dataclasses.replace(shapes(width=32), device=torch.device("cuda"))
    assert why_not(on_gpu) == "it computes in float32, and the kernels take bfloat16 and float16"
    assert why_not(dataclasses.replace(on_gpu, dtype=torch.bfloat16)) is None
    assert "a window of 100000000 tokens" in str(why_not(shapes(width=32, length=10**8)))


@pytest.mark.filterwarnings("ignore:All-NaN slice encountered")  # of the spoilt episode
@pytest.mark.parametrize("name", ["relative", "rotary"])
def test_tiles_of_other_episodes_are_not_computed(name: str, device: torch.device) -> None:
    """Two episodes that fill whole tiles: NaN in one would reach the other through any tile that is only hidden."""
    from gato_trainer.kernels import fused_relative_attention, fused_rotary_attention

    module = {"relative": fused_relative_attention, "rotary": fused_rotary_attention}[name]
    operation, length = getattr(module, f"{name}_attention"), 256
    given = (relative if name == "relative" else rotary)(device, torch.float32, (1, 1, length, 16), True)
    given[-1] = (torch.arange(length, device=device) // 128).expand(1, -1).contiguous()
    expected = operation(*given)
    wanted = torch.autograd.grad(expected.square().sum(), given[:3])
    for broken, whole in ((slice(0, 128), slice(128, 256)), (slice(128, 256), slice(0, 128))):
        spoilt = [tensor.detach().clone() for tensor in given[:3]]
        for tensor in spoilt:
            tensor[:, :, broken] = float("nan")
            tensor.requires_grad_()
        found = operation(*spoilt, *given[3:])
        gradients = torch.autograd.grad(found.square().sum(), spoilt)
        for made, right in zip((found, *gradients), (expected, *wanted), strict=True):
            assert torch.equal(made[:, :, whole], right[:, :, whole])
