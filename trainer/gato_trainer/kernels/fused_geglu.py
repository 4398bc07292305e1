"""GEGLU in one pass forward and one backward, which computes the activation again instead of keeping it.

Forward: read both halves, write their product. Backward: read both halves and the gradient, write
the gradient of both halves, and one partial sum of the bias's gradient for each strip of rows,
which a second step adds up. No atomics. Inside, everything is float32; the reference rounds to x's
dtype three times on the way.
"""

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

if TYPE_CHECKING:
    from gato_trainer.kernels import Shapes

STRIPS = 512
"""Most strips of rows in the backward: enough programs for every GPU, fixed,
so that a device's size does not change the order of additions."""

_ROWS, _COLUMNS, _WARPS = 4, 256, 4
"""A program's tile: 8 values a thread, 16 bytes of bf16."""


def why_not(shapes: "Shapes") -> str | None:
    """Why this file does not take the shapes, or None: it takes all."""
    return None


@triton.jit
def _gelu(gate):
    """Standard normal distribution function of gate, and GELU of it."""
    share = 0.5 * (1.0 + tl.math.erf(gate * 0.7071067811865476))
    return share, gate * share


@triton.jit(do_not_specialize=["n"])
def geglu_forward(x, bias, result, n, inner, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """A tile of result (n, inner) from x (n, 2 inner)."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (row < n)[:, None] & (column < inner)[None, :]
    place = x + row[:, None] * (2 * inner) + column[None, :]
    value = tl.load(place, mask=inside, other=0.0).to(tl.float32)
    gate = tl.load(place + inner, mask=inside, other=0.0).to(tl.float32)
    value += tl.load(bias + column, mask=column < inner, other=0.0).to(tl.float32)[None, :]
    gate += tl.load(bias + inner + column, mask=column < inner, other=0.0).to(tl.float32)[None, :]
    product = value * _gelu(gate)[1]
    tl.store(result + row[:, None] * inner + column[None, :], product.to(result.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["n", "strip"])
def geglu_backward(
    d_result, x, bias, dx, partial, n, inner, strip, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):  # fmt: skip
    """A strip of rows by a tile of columns; partial (strips, 2 inner) takes the sums for the bias."""
    program = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    bias_value = tl.load(bias + column, mask=column < inner, other=0.0).to(tl.float32)
    bias_gate = tl.load(bias + inner + column, mask=column < inner, other=0.0).to(tl.float32)
    sum_value = tl.zeros((ROWS, COLUMNS), tl.float32)
    sum_gate = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range(0, strip, ROWS):
        row = program * strip + step + tl.arange(0, ROWS)
        inside = (row < n)[:, None] & (column < inner)[None, :]
        place = row[:, None] * (2 * inner) + column[None, :]
        value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32) + bias_value[None, :]
        gate = tl.load(x + place + inner, mask=inside, other=0.0).to(tl.float32) + bias_gate[None, :]
        wanted = row[:, None] * inner + column[None, :]
        gradient = tl.load(d_result + wanted, mask=inside, other=0.0).to(tl.float32)
        share, activated = _gelu(gate)
        density = 0.3989422804014327 * tl.exp(-0.5 * gate * gate)
        d_value = gradient * activated
        d_gate = gradient * value * (share + gate * density)
        tl.store(dx + place, d_value.to(dx.dtype.element_ty), mask=inside)
        tl.store(dx + place + inner, d_gate.to(dx.dtype.element_ty), mask=inside)
        sum_value += d_value
        sum_gate += d_gate
    sums = partial + program * 2 * inner + column
    tl.store(sums, tl.sum(sum_value, axis=0), mask=column < inner)
    tl.store(sums + inner, tl.sum(sum_gate, axis=0), mask=column < inner)


@torch.library.custom_op("gato::geglu", mutates_args=())
def _geglu(x: Tensor, bias: Tensor) -> Tensor:
    x = x.contiguous()
    inner = x.shape[-1] // 2
    n = x.numel() // (2 * inner)
    result = _result(x)
    if n:
        grid = (triton.cdiv(n, _ROWS), triton.cdiv(inner, _COLUMNS))
        geglu_forward[grid](x, bias, result, n, inner, ROWS=_ROWS, COLUMNS=_COLUMNS, num_warps=_WARPS)
    return result


def _result(x: Tensor) -> Tensor:
    return x.new_empty((*x.shape[:-1], x.shape[-1] // 2))


@_geglu.register_fake
def _(x: Tensor, bias: Tensor) -> Tensor:
    return _result(x)


@torch.library.custom_op("gato::geglu_backward", mutates_args=())
def _geglu_backward(d_result: Tensor, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of x and, in float32, of bias."""
    d_result, x = d_result.contiguous(), x.contiguous()
    inner = x.shape[-1] // 2
    n = x.numel() // (2 * inner)
    dx, d_bias = _gradients(x, bias)
    if n == 0:
        return dx, d_bias.zero_()
    strip = triton.cdiv(triton.cdiv(n, STRIPS), _ROWS) * _ROWS
    strips = triton.cdiv(n, strip)
    partial = x.new_empty((strips, 2 * inner), dtype=torch.float32)
    grid = (strips, triton.cdiv(inner, _COLUMNS))
    geglu_backward[grid](
        d_result, x, bias, dx, partial, n, inner, strip, ROWS=_ROWS, COLUMNS=_COLUMNS, num_warps=_WARPS
    )  # fmt: skip
    torch.sum(partial, dim=0, out=d_bias)
    return dx, d_bias


def _gradients(x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), bias.new_empty(bias.shape, dtype=torch.float32)


@_geglu_backward.register_fake
def _(d_result: Tensor, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    return _gradients(x, bias)


def _save(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx, d_result):
    x, bias = ctx.saved_tensors
    dx, d_bias = _geglu_backward(d_result, x, bias)
    return dx, d_bias.to(bias.dtype)


_geglu.register_autograd(_backward, setup_context=_save)


def geglu(x: Tensor, bias: Tensor) -> Tensor:
    """See `reference.geglu`."""
    result: Tensor = _geglu(x, bias)
    return result
