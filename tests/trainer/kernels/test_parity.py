"""Every fused operation beside its reference: results, gradients, odd shapes, edges."""

import importlib
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gato_trainer.kernels import FUSED, REFERENCE, Shapes
from gato_trainer.kernels.self_test import cases, compare

# The interpreter multiplies bf16 matrices wrongly, but no kernel here has a matrix product of its own.
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
MINE = ("add_norm", "geglu", "embed", "linear_cross_entropy")


def fused(name: str) -> Callable[..., Any]:
    operation: Callable[..., Any] = getattr(importlib.import_module(f"gato_trainer.kernels.{FUSED[name]}"), name)
    return operation


def check(name: str, given: list[Any], dtype: torch.dtype = torch.float32) -> None:
    assert compare(fused(name), getattr(REFERENCE, name), given, dtype) is None


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", MINE)
def test_results_and_gradients(name: str, dtype: torch.dtype, shapes: Callable[..., Shapes]) -> None:
    for given in cases(name, shapes(dtype=dtype)):
        check(name, given, dtype)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(
    ("name", "width", "feed_forward", "length", "windows"),
    [
        ("add_norm", 2, 4, 1, 1),
        ("add_norm", 1030, 4, 3, 3),
        ("geglu", 2, 2, 1, 1),
        ("geglu", 2, 1030, 5, 1),
        ("embed", 2, 4, 1, 1),
        ("embed", 258, 4, 11, 1),
        ("linear_cross_entropy", 2, 4, 1, 1),
        ("linear_cross_entropy", 130, 4, 3, 3),
    ],
)
def test_odd_shapes(
    name: str, width: int, feed_forward: int, length: int, windows: int, shapes: Callable[..., Shapes]
) -> None:
    for given in cases(name, shapes(width=width, feed_forward=feed_forward, length=length, windows=windows)):
        check(name, given)


@pytest.mark.parametrize("name", ["add_norm", "geglu", "linear_cross_entropy"])
def test_no_rows(name: str, device: torch.device) -> None:
    def zeros(*shape: int) -> torch.Tensor:
        return torch.zeros(shape, device=device).requires_grad_()

    given: dict[str, list[Any]] = {
        "add_norm": [zeros(0, 8), zeros(0, 8), torch.zeros(0, device=device), zeros(8), zeros(8)],
        "geglu": [zeros(0, 8), zeros(8)],
        "linear_cross_entropy": [zeros(0, 8), zeros(5, 8), torch.zeros(0, dtype=torch.int64, device=device)],
    }
    check(name, given[name])


def test_a_batch_without_patches(shapes: Callable[..., Shapes]) -> None:
    given = cases("embed", shapes())[0]
    for place in range(6, 11):  # vectors, indexes, slots, rows and columns of patches
        given[place] = given[place].detach()[:0].requires_grad_(given[place].requires_grad)
    check("embed", given)


def test_rows_that_are_not_contiguous(device: torch.device) -> None:
    x = torch.randn(8, 6, device=device).T.requires_grad_()
    check("geglu", [x, torch.randn(8, device=device).requires_grad_()])
    gain, bias = (torch.randn(8, device=device).requires_grad_() for _ in range(2))
    check("add_norm", [x, torch.randn(8, 6, device=device).T.requires_grad_(), None, gain, bias])


def test_a_dropped_branch_is_not_read(shapes: Callable[..., Shapes]) -> None:
    x, branch, _, gain, bias = cases("add_norm", shapes())[0]
    keep = torch.tensor([0.0, 1.25], device=x.device)
    broken = branch.detach().clone()
    broken[keep == 0] = float("nan")
    broken.requires_grad_()
    total, normed = fused("add_norm")(x, broken, keep, gain, bias)
    expected_total, expected_normed = REFERENCE.add_norm(x, branch, keep, gain, bias)
    torch.testing.assert_close(total, expected_total)
    torch.testing.assert_close(normed, expected_normed)
    (gradient,) = torch.autograd.grad((total * normed).sum(), broken)
    assert not gradient[keep == 0].any()
    assert gradient[1].isfinite().all()
    assert gradient[1].any()


def test_a_row_scale_of_each_row(shapes: Callable[..., Shapes]) -> None:
    x, branch, _, gain, bias = cases("add_norm", shapes())[0]
    rows = [tensor.detach().flatten(0, 1).requires_grad_() for tensor in (x, branch)]
    keep = torch.linspace(0, 2, len(rows[0]), device=x.device)
    check("add_norm", [*rows, keep, gain, bias])


@pytest.mark.parametrize("name", MINE)
def test_parameters_in_bf16(name: str, shapes: Callable[..., Shapes]) -> None:
    """Sharding hands gathered parameters over in the dtype that is computed in."""
    given = [
        argument.detach().bfloat16().requires_grad_()
        if isinstance(argument, torch.Tensor) and argument.requires_grad
        else argument
        for argument in cases(name, shapes(dtype=torch.bfloat16))[0]
    ]
    check(name, given, torch.bfloat16)


def test_padding_rows_cost_nothing(device: torch.device) -> None:
    hidden, table = torch.randn(6, 8, device=device), torch.randn(37, 8, device=device)
    target = torch.tensor([3, -1, 36, -1, 0, -1], device=device)
    for operation in (REFERENCE.linear_cross_entropy, fused("linear_cross_entropy")):
        given = [hidden.clone().requires_grad_(), table.clone().requires_grad_()]
        loss, correct = operation(*given, target)
        alone, _ = operation(hidden[target >= 0], table, target[target >= 0])
        torch.testing.assert_close(loss[target >= 0], alone)
        assert not loss[target < 0].any()
        assert not correct[target < 0].any()
        d_hidden, _ = torch.autograd.grad(loss.sum(), given)
        assert not d_hidden[target < 0].any()
    check("linear_cross_entropy", [*given, target])


def test_of_equal_logits_the_first_is_the_likeliest(device: torch.device) -> None:
    table = torch.zeros(4, 2, device=device)
    hidden = torch.ones(4, 2, device=device)
    target = torch.arange(4, device=device)
    _, correct = fused("linear_cross_entropy")(hidden, table, target)
    assert correct.tolist() == [True, False, False, False]
    assert REFERENCE.linear_cross_entropy(hidden, table, target)[1].tolist() == correct.tolist()


def test_more_rows_than_are_kept_are_computed_in_pieces(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gato_trainer.kernels.fused_cross_entropy.KEPT_ROWS", 4)
    hidden = torch.randn(10, 8, device=device).requires_grad_()
    table = torch.randn(21, 8, device=device).requires_grad_()
    check("linear_cross_entropy", [hidden, table, torch.arange(10, device=device) * 2])


def test_logits_of_one_piece_exist_at_one_time(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    from gato_trainer.kernels import fused_cross_entropy

    monkeypatch.setattr(fused_cross_entropy, "KEPT_ROWS", 4)
    made: list[weakref.ref[torch.Tensor]] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            is_logits = function is torch.ops.aten.mm.default and args[0].shape == (4, 8) and args[1].shape[0] == 8
            if is_logits:
                assert all(logits() is None for logits in made)
            result = function(*args, **(kwargs or {}))
            if is_logits:
                made.append(weakref.ref(result))
            return result

    hidden = torch.randn(12, 8, device=device).requires_grad_()
    table = torch.randn(21, 8, device=device).requires_grad_()
    with Watch():
        loss, _ = fused_cross_entropy.linear_cross_entropy(hidden, table, torch.arange(12, device=device))
    assert len(made) == 3
    assert loss.isfinite().all()


def test_logits_far_apart(device: torch.device) -> None:
    """The online sum must not overflow whichever block holds the largest logit."""
    table = torch.zeros(5000, 2, device=device)
    table[[3, 2500, 4999], 0] = torch.tensor([80.0, 90.0, 300.0], device=device)
    hidden = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.1, 0.0]], device=device).requires_grad_()
    check("linear_cross_entropy", [hidden, table.requires_grad_(), torch.tensor([4999, 0, 3], device=device)])


def test_rows_that_occur_often_are_added_in_pieces(
    shapes: Callable[..., Shapes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gato_trainer.kernels.fused_embedding.PIECE", 8)
    given = cases("embed", shapes(length=40, windows=1))[0]
    given[4][:] = 5  # one id everywhere
    given[5][:, :20] = -1
    given[5][:, 20:] = 8
    given[7][:] = torch.arange(len(given[7]), device=given[7].device) // 17  # one patch nearly everywhere
    given[9][:] = torch.arange(len(given[9]), device=given[9].device) % 2
    check("embed", given)


@pytest.mark.parametrize("name", MINE)
def test_the_same_bits_every_time(name: str, shapes: Callable[..., Shapes]) -> None:
    def run() -> list[torch.Tensor]:
        given = cases(name, shapes())[0]
        results = fused(name)(*given)
        results = results if isinstance(results, tuple) else (results,)
        inputs = [argument for argument in given if isinstance(argument, torch.Tensor) and argument.requires_grad]
        root = sum(result.square().sum() for result in results if result.requires_grad)
        return [*results, *torch.autograd.grad(root, inputs)]

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))


def test_gradients_only_of_what_wants_them(shapes: Callable[..., Shapes]) -> None:
    hidden, table, target = cases("linear_cross_entropy", shapes())[0]
    with torch.no_grad():
        loss, _ = fused("linear_cross_entropy")(hidden, table, target)
    assert not loss.requires_grad
    loss, correct = fused("linear_cross_entropy")(hidden.detach(), table, target)
    assert not correct.requires_grad
    (d_table,) = torch.autograd.grad(loss.sum(), [table])
    expected, _ = REFERENCE.linear_cross_entropy(hidden.detach(), table, target)
    torch.testing.assert_close(d_table, torch.autograd.grad(expected.sum(), [table])[0])
