"""The test that every fused operation must pass at the start of a run, at the run's own shapes.

Both implementations get the same random values in the run's dtype; a third computation, the
reference in a wider dtype, is taken for the truth. A fused operation may be off by twice what plain
torch is, and no more: that holds its rounding to torch's without a tolerance made up for each
operation.
"""

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gato_schemas.sequence import PATCH_POSITIONS

if TYPE_CHECKING:
    from gato_trainer.kernels import Shapes

_FLOOR = {torch.float32: 1e-5, torch.float16: 5e-4, torch.bfloat16: 4e-3}
"""Relative error that passes even where torch itself is exact."""

_ELEMENTS = 2**26
_LOGITS = 2**27
"""Elements of the largest tensor of a test: enough programs to fill a GPU,
little memory beside a run's."""


def self_test(name: str, fused: Callable[..., Any], reference: Callable[..., Any], shapes: "Shapes") -> str | None:
    """Why the fused operation cannot be used, or None if its results and gradients are right.

    Args:
        name: the field of `Operations`.
        fused, reference: the two implementations.
        shapes: of the run; fewer windows are tested if the run's are many, everything else is as it
            will be.
    """
    from triton.errors import TritonError

    try:
        found = (compare(fused, reference, given, shapes.dtype) for given in cases(name, shapes))
        worst = next(filter(None, found), None)
    except (TritonError, RuntimeError, TypeError, ValueError, AttributeError, OSError) as error:
        return f"it failed its test on this machine ({_first_line(error)})"
    except subprocess.SubprocessError as error:  # the compiler that Triton starts
        return f"it does not compile on this machine ({_first_line(error)})"
    if worst is not None:
        return f"it failed its test on this machine ({worst})"
    return None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def compare(
    fused: Callable[..., Any], reference: Callable[..., Any], given: list[Any], dtype: torch.dtype
) -> str | None:
    """The first result or gradient that is off, in words; None if all are right.

    Args:
        fused, reference: two implementations of one operation.
        given: its arguments; gradients are compared of those tensors that require them.
        dtype: that is computed in; parameters among the arguments are float32 all the same.
    """
    wide = torch.float64 if dtype == torch.float32 else torch.float32
    truth, plain, made = (
        _run(operation, given, dtype, to) for operation, to in ((reference, wide), (reference, None), (fused, None))
    )
    for label, true, expected, found in zip(truth[0], truth[1], plain[1], made[1], strict=True):
        if found.shape != expected.shape or found.dtype != expected.dtype:
            return f"{label} is {found.dtype} {tuple(found.shape)}, not {expected.dtype} {tuple(expected.shape)}"
        allowed = 2 * _error(expected, true) + _FLOOR[dtype]
        error = _error(found, true)
        if not error <= allowed:
            return f"{label} is off by {error:.1e}, and {allowed:.1e} is allowed"
    return None


def _run(
    operation: Callable[..., Any], given: list[Any], dtype: torch.dtype, wide: torch.dtype | None
) -> tuple[list[str], list[Tensor]]:
    """Labels and values of all results, then of all gradients, for the same gradients of the results."""
    copies = [_copy(argument, wide) for argument in given]
    results = operation(*copies)
    results = results if isinstance(results, tuple) else (results,)
    inputs = [copy for copy in copies if isinstance(copy, Tensor) and copy.requires_grad]
    generator = torch.Generator(results[0].device).manual_seed(1)
    roots = [result for result in results if result.requires_grad]
    draws = (torch.randn(root.shape, generator=generator, device=root.device) for root in roots)
    weights = [draw.to(dtype).to(root.dtype) for draw, root in zip(draws, roots, strict=True)]
    gradients = torch.autograd.grad(roots, inputs, weights)
    labels = [f"result {i}" for i in range(len(results))] + [f"gradient {i}" for i in range(len(gradients))]
    return labels, [result.detach() for result in results] + list(gradients)


def _copy(argument: Any, wide: torch.dtype | None) -> Any:
    if isinstance(argument, torch.dtype):
        return wide or argument
    if not isinstance(argument, Tensor):
        return argument
    to = wide if wide is not None and argument.is_floating_point() else argument.dtype
    return argument.detach().clone().to(to).requires_grad_(argument.requires_grad)


def _error(found: Tensor, true: Tensor) -> float:
    """Relative error by norms; for what is not a float, the share that differs."""
    if not found.is_floating_point():
        return float((found != true).double().mean()) if found.numel() else 0.0
    difference = torch.linalg.vector_norm(found.double() - true.double())
    return float(difference / torch.linalg.vector_norm(true.double()).clamp(min=1e-30))


def cases(name: str, shapes: "Shapes") -> list[list[Any]]:
    """Random arguments of the operation at the run's shapes, for each way in which it is called."""
    return _CASES[name](shapes, _Draw(shapes))


class _Draw:
    """Random tensors on the run's device; the run's own random numbers are not touched."""

    def __init__(self, shapes: "Shapes") -> None:
        self.device, self.dtype = shapes.device, shapes.dtype
        self.generator = torch.Generator(shapes.device).manual_seed(0)

    def values(self, *shape: int) -> Tensor:
        """Normal values of the dtype that is computed in."""
        return self.parameter(*shape).detach().to(self.dtype).requires_grad_()

    def parameter(self, *shape: int) -> Tensor:
        """Normal values as float32 masters."""
        return torch.randn(shape, generator=self.generator, device=self.device).requires_grad_()

    def below(self, limit: int, *shape: int, low: int = 0) -> Tensor:
        """int64 in [low, limit)."""
        return torch.randint(low, limit, shape, generator=self.generator, device=self.device)


def _windows(shapes: "Shapes", per_token: int) -> int:
    most = 2 if shapes.device.type == "cpu" else max(_ELEMENTS // (shapes.length * per_token), 2)
    return min(shapes.windows, most)


def _add_norm(shapes: "Shapes", draw: _Draw) -> list[list[Any]]:
    width, windows = shapes.model.width, _windows(shapes, shapes.model.width)
    keep = (torch.arange(windows, device=shapes.device) % 3 != 1).float() / 0.9
    x, branch = (draw.values(windows, shapes.length, width) for _ in range(2))
    norm = [draw.parameter(width), draw.parameter(width)]
    return [[x, branch, keep, *norm], [x, branch, None, *norm], [x, None, None, *norm]]


def _geglu(shapes: "Shapes", draw: _Draw) -> list[list[Any]]:
    inner = shapes.model.feed_forward
    return [[draw.values(_windows(shapes, inner), shapes.length, inner), draw.parameter(inner)]]


def _embed(shapes: "Shapes", draw: _Draw) -> list[list[Any]]:
    config, windows, length = shapes.model, _windows(shapes, shapes.model.width), shapes.length
    slot = torch.arange(0, windows * length, 2, device=shapes.device)
    rows = (config.vocabulary_size, config.local_positions, PATCH_POSITIONS, PATCH_POSITIONS)
    tables = [draw.parameter(count, config.width) for count in rows]
    tokens = draw.below(config.vocabulary_size, windows, length)
    local = draw.below(config.local_positions, windows, length, low=-1)
    distinct = len(slot) // 4 + 1
    # the last is padding
    vectors, index = draw.values(distinct + 1, config.width), draw.below(distinct, len(slot))
    places = [draw.below(PATCH_POSITIONS, len(slot)) for _ in range(2)]
    return [[*tables, tokens, local, vectors, index, slot, *places, shapes.dtype]]


def _patch_block(shapes: "Shapes", draw: _Draw) -> list[list[Any]]:
    """An odd number of patches; weights as large as they begin, since sums of large ones round worse."""
    channels, grid = shapes.model.patch_channels, shapes.model.patch_grid
    pixels = draw.below(256, 5 if shapes.device.type == "cpu" else 4097, 16, 16, 3).to(torch.uint8)
    vectors = [draw.parameter(channels) for _ in range(7)]
    root, conv1, conv2 = (
        (draw.parameter(channels, inputs, 3, 3).detach() * (9 * inputs) ** -0.5).requires_grad_()
        for inputs in (3, channels, channels)
    )
    norm1, norm2 = vectors[1:3], vectors[4:6]
    given = [root, vectors[0], *norm1, conv1, vectors[3], *norm2, conv2, vectors[6]]
    return [[pixels, *given, grid, shapes.dtype]]


def _linear_cross_entropy(shapes: "Shapes", draw: _Draw) -> list[list[Any]]:
    config = shapes.model
    rows = min(shapes.windows * shapes.length, max(_LOGITS // config.vocabulary_size, 1))
    rows = min(rows, 16) if shapes.device.type == "cpu" else rows
    hidden = draw.values(rows, config.width)
    table = (draw.parameter(config.vocabulary_size, config.width).detach() * config.width**-0.5).requires_grad_()
    target = draw.below(config.vocabulary_size, rows)
    with torch.no_grad():  # a target of chance is hardly ever the likeliest
        target[::2] = (hidden[::2] @ table.to(hidden.dtype).T).argmax(dim=-1)
    return [[hidden, table, target]]


def _queries(shapes: "Shapes", draw: _Draw) -> tuple[list[Tensor], Tensor]:
    config = shapes.model
    windows = min(_windows(shapes, config.heads * shapes.length), 2)
    shape = (windows, config.heads, shapes.length, config.head_size)
    segment = torch.arange(shapes.length, device=shapes.device) // (shapes.length // 3 + 1)
    return [draw.values(*shape) for _ in range(3)], segment.expand(windows, -1).contiguous()


def _relative_attention(shapes: "Shapes", draw: _Draw) -> list[list[Any]]:
    config, (queries, segment) = shapes.model, _queries(shapes, draw)
    biases = [draw.parameter(config.heads, config.head_size) for _ in range(2)]
    given = [*queries, draw.values(config.heads, shapes.length, config.head_size), *biases]
    return [[*given, None], [*given, segment]]


def _rotary_attention(shapes: "Shapes", draw: _Draw) -> list[list[Any]]:
    queries, segment = _queries(shapes, draw)
    angle = draw.parameter(shapes.length, shapes.model.head_size // 2).detach()
    return [[*queries, angle, None], [*queries, angle, segment]]


_CASES: dict[str, Callable[["Shapes", _Draw], list[list[Any]]]] = {
    "add_norm": _add_norm,
    "geglu": _geglu,
    "embed": _embed,
    "patch_block": _patch_block,
    "linear_cross_entropy": _linear_cross_entropy,
    "relative_attention": _relative_attention,
    "rotary_attention": _rotary_attention,
}
