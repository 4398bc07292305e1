"""The patch block beside its reference, without a GPU in the interpreter: every width and grid that is taken."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from gato_trainer.kernels import REFERENCE, Shapes
from gato_trainer.kernels.self_test import cases, compare


@pytest.fixture
def given(shapes: Callable[..., Shapes]) -> Callable[..., list[Any]]:
    def draw(channels: int = 32, grid: int = 2, dtype: torch.dtype = torch.float32) -> list[Any]:
        of = shapes(dtype=dtype)
        of = replace(of, model=replace(of.model, patch_channels=channels, patch_grid=grid))
        (arguments,) = cases("patch_block", of)
        return arguments

    return draw


def fused(*arguments: Any) -> torch.Tensor:
    from gato_trainer.kernels.fused_patch_block import patch_block

    return patch_block(*arguments)


def gradients(operation: Callable[..., torch.Tensor], arguments: list[Any]) -> list[torch.Tensor]:
    result = operation(*arguments)
    parameters = [each for each in arguments if isinstance(each, torch.Tensor) and each.requires_grad]
    return [result, *torch.autograd.grad(result.square().sum(), parameters)]


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(
    ("channels", "grid", "dtype"),
    [
        (32, 4, torch.float32),
        (64, 2, torch.float32),
        (64, 2, torch.float16),
        (64, 1, torch.float16),
        (32, 8, torch.float32),
    ],
    ids=str,
)
def test_results_and_gradients(channels: int, grid: int, dtype: torch.dtype, given: Callable[..., list[Any]]) -> None:
    assert compare(fused, REFERENCE.patch_block, given(channels, grid, dtype), dtype) is None


def test_gradients_beside_float64(given: Callable[..., list[Any]]) -> None:
    """Every element of every gradient, not only their norms."""
    arguments = given(64)
    wide = [
        each.detach().double().requires_grad_() if isinstance(each, torch.Tensor) and each.requires_grad else each
        for each in [*arguments[:-1], torch.float64]
    ]
    for found, right in zip(gradients(fused, arguments), gradients(REFERENCE.patch_block, wide), strict=True):
        torch.testing.assert_close(found.double(), right, rtol=1e-4, atol=1e-5 * float(right.detach().abs().max()))


@pytest.mark.parametrize("count", [0, 1])
def test_few_patches(count: int, given: Callable[..., list[Any]]) -> None:
    arguments = given()
    arguments[0] = arguments[0][:count]
    found, right = (gradients(operation, arguments) for operation in (fused, REFERENCE.patch_block))
    assert len(found[0]) == count
    for made, expected in zip(found, right, strict=True):
        torch.testing.assert_close(made, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("poisoned")
def test_more_patches_than_exist_at_one_time(given: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gato_trainer.kernels.fused_patch_block.PIECE", 4)
    monkeypatch.setattr("gato_trainer.kernels.fused_patch_block.STRIPS", 3)
    assert compare(fused, REFERENCE.patch_block, given(), torch.float32) is None


def test_the_same_bits_every_time(given: Callable[..., list[Any]]) -> None:
    arguments = given()
    runs = [gradients(fused, arguments) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_no_gradient_is_a_view_of_another(given: Callable[..., list[Any]]) -> None:
    made = gradients(fused, given())[1:]
    assert len({gradient.untyped_storage().data_ptr() for gradient in made}) == len(made)


def test_the_custom_operation_keeps_torchs_rules(given: Callable[..., list[Any]]) -> None:
    from gato_trainer.kernels import fused_patch_block

    pixels, *parameters, grid, dtype = given()
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(fused_patch_block._patch_block, (pixels[:2], parameters, grid, dtype), test_utils=checks)


def test_what_the_kernels_do_not_take(shapes: Callable[..., Shapes]) -> None:
    from gato_trainer.kernels.fused_patch_block import why_not

    of = shapes()
    assert why_not(of) is None
    wide = replace(of, model=replace(of.model, patch_channels=96))
    assert why_not(wide) == "its patch block has 96 channels, and the kernels take 32 or 64"
    on_gpu = replace(of, device=torch.device("cuda"))
    assert why_not(on_gpu) == "it computes in float32, and the kernels take bfloat16 and float16"
