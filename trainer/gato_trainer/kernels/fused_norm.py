"""Residual, stochastic depth and layer normalisation in one pass over the residual stream.

Forward: read x, and branch where it is kept; write their sum and its normalisation. Backward: read
the sum and both gradients; write the gradients of x and branch, and one partial sum of the gain's
and bias's gradients for each program, which a second step adds up. No atomics: the same input gives
the same bits.

The branch of a dropped sequence (keep == 0) is not read, and its gradient is written without
computing it. Inside, everything is float32; `keep`, gain and bias are not rounded to x's dtype as
the reference rounds them.
"""

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

if TYPE_CHECKING:
    from gato_trainer.kernels import Shapes

EPSILON = 1e-5
"""torch's, which the reference takes."""

WIDEST = 8192
"""A program holds whole rows in registers."""

STRIPS = 1024
"""Most programs of the backward; fixed, so that a device's size does not change the order of
additions."""


def why_not(shapes: "Shapes") -> str | None:
    """Why this file does not take the shapes, or None."""
    width = shapes.model.width
    return f"it takes widths up to {WIDEST}, not {width}" if width > WIDEST else None


@triton.jit(do_not_specialize=["n"])
def add_norm_forward(
    x, branch, keep, gain, bias, total, normed, mean, scale, n, width, per_keep, epsilon,
    HAS_BRANCH: tl.constexpr, HAS_KEEP: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """ROWS rows of (n, width); row r has the scale keep[r // per_keep]."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)
    inside = (row < n)[:, None] & (column < width)[None, :]
    place = row[:, None] * width + column[None, :]
    value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
    if HAS_BRANCH:
        if HAS_KEEP:
            kept = tl.load(keep + row // per_keep, mask=row < n, other=0.0).to(tl.float32)
            added = tl.load(branch + place, mask=inside & (kept != 0.0)[:, None], other=0.0).to(tl.float32)
            value += added * kept[:, None]
        else:
            value += tl.load(branch + place, mask=inside, other=0.0).to(tl.float32)
        # What is normalised is the sum as it is stored, so that the backward sees the same numbers.
        stored = value.to(total.dtype.element_ty)
        tl.store(total + place, stored, mask=inside)
        value = stored.to(tl.float32)
    average = tl.sum(value, axis=1) / width
    centred = tl.where(inside, value - average[:, None], 0.0)
    inverse = tl.rsqrt(tl.sum(centred * centred, axis=1) / width + epsilon)
    g = tl.load(gain + column, mask=column < width, other=0.0).to(tl.float32)
    b = tl.load(bias + column, mask=column < width, other=0.0).to(tl.float32)
    result = centred * inverse[:, None] * g[None, :] + b[None, :]
    tl.store(normed + place, result.to(normed.dtype.element_ty), mask=inside)
    tl.store(mean + row, average, mask=row < n)
    tl.store(scale + row, inverse, mask=row < n)


@triton.jit(do_not_specialize=["n", "strip"])
def add_norm_backward(
    d_total, d_normed, total, keep, gain, mean, scale, dx, d_branch, partial, n, width, per_keep, strip,
    HAS_BRANCH: tl.constexpr, HAS_KEEP: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """A strip of rows; partial (programs, 2, width) takes the sums for gain and bias."""
    program = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, COLUMNS)
    g = tl.load(gain + column, mask=column < width, other=0.0).to(tl.float32)
    d_gain = tl.zeros((ROWS, COLUMNS), tl.float32)
    d_bias = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range(0, strip, ROWS):
        row = program * strip + step + tl.arange(0, ROWS)
        inside = (row < n)[:, None] & (column < width)[None, :]
        place = row[:, None] * width + column[None, :]
        average = tl.load(mean + row, mask=row < n, other=0.0)
        inverse = tl.load(scale + row, mask=row < n, other=0.0)
        value = tl.load(total + place, mask=inside, other=0.0).to(tl.float32)
        dy = tl.load(d_normed + place, mask=inside, other=0.0).to(tl.float32)
        unit = tl.where(inside, (value - average[:, None]) * inverse[:, None], 0.0)
        d_gain += dy * unit
        d_bias += dy
        inner = dy * g[None, :]
        along = tl.sum(inner * unit, axis=1) / width
        across = tl.sum(inner, axis=1) / width
        result = (inner - across[:, None] - unit * along[:, None]) * inverse[:, None]
        if HAS_BRANCH:
            result += tl.load(d_total + place, mask=inside, other=0.0).to(tl.float32)
        tl.store(dx + place, result.to(dx.dtype.element_ty), mask=inside)
        if HAS_KEEP:
            kept = tl.load(keep + row // per_keep, mask=row < n, other=0.0).to(tl.float32)
            tl.store(d_branch + place, (result * kept[:, None]).to(d_branch.dtype.element_ty), mask=inside)
    sums = partial + program * 2 * width + column
    tl.store(sums, tl.sum(d_gain, axis=0), mask=column < width)
    tl.store(sums + width, tl.sum(d_bias, axis=0), mask=column < width)


def tile(width: int) -> dict[str, int]:
    """Rows and columns of a program's tile, and warps for 8 values of a row a thread."""
    columns = max(triton.next_power_of_2(width), 16)
    return {"ROWS": max(1024 // columns, 1), "COLUMNS": columns, "num_warps": min(max(columns // 256, 4), 16)}


@torch.library.custom_op("gato::add_norm", mutates_args=())
def _add_norm(
    x: Tensor, branch: Tensor | None, keep: Tensor | None, gain: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The sum (empty without a branch), its normalisation, and each row's mean and inverse deviation."""
    x = x.contiguous()
    branch = None if branch is None else branch.contiguous()
    width = x.shape[-1]
    n = x.numel() // width
    total, normed, mean, scale = _results(x, branch)
    if n:
        size = tile(width)
        per_keep = 1 if keep is None else n // keep.numel()
        add_norm_forward[(triton.cdiv(n, size["ROWS"]),)](
            x, branch, keep, gain, bias, total, normed, mean, scale, n, width, per_keep, EPSILON,
            HAS_BRANCH=branch is not None, HAS_KEEP=keep is not None, **size,
        )  # fmt: skip
    return total, normed, mean, scale


def _results(x: Tensor, branch: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    shape = tuple(x.shape)
    total = x.new_empty(shape if branch is not None else (0,))
    mean, scale = (x.new_empty(shape[:-1], dtype=torch.float32) for _ in range(2))
    return total, x.new_empty(shape), mean, scale


@_add_norm.register_fake
def _(
    x: Tensor, branch: Tensor | None, keep: Tensor | None, gain: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _results(x, branch)


@torch.library.custom_op("gato::add_norm_backward", mutates_args=())
def _add_norm_backward(
    d_total: Tensor | None,
    d_normed: Tensor,
    total: Tensor,
    keep: Tensor | None,
    gain: Tensor,
    mean: Tensor,
    scale: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, of branch (empty without `keep`: then it is x's), and (2, width) of gain and bias."""
    d_total = None if d_total is None else d_total.contiguous()
    d_normed = d_normed.contiguous()
    width = total.shape[-1]
    n = total.numel() // width
    dx, d_branch, both = _gradients(total, keep)
    if n == 0:
        return dx, d_branch, both.zero_()
    size = tile(width)
    strip = triton.cdiv(triton.cdiv(n, STRIPS), size["ROWS"]) * size["ROWS"]
    programs = triton.cdiv(n, strip)
    partial = total.new_empty((programs, 2, width), dtype=torch.float32)
    per_keep = 1 if keep is None else n // keep.numel()
    add_norm_backward[(programs,)](
        d_total, d_normed, total, keep, gain, mean, scale, dx, d_branch, partial, n, width, per_keep, strip,
        HAS_BRANCH=d_total is not None, HAS_KEEP=keep is not None, **size,
    )  # fmt: skip
    torch.sum(partial, dim=0, out=both)
    return dx, d_branch, both


def _gradients(total: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    d_branch = total.new_empty(total.shape if keep is not None else (0,))
    return total.new_empty(total.shape), d_branch, total.new_empty((2, total.shape[-1]), dtype=torch.float32)


@_add_norm_backward.register_fake
def _(
    d_total: Tensor | None,
    d_normed: Tensor,
    total: Tensor,
    keep: Tensor | None,
    gain: Tensor,
    mean: Tensor,
    scale: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    return _gradients(total, keep)


def _save(ctx, inputs, output) -> None:
    x, branch, keep, gain, bias = inputs
    total, _, mean, scale = output
    ctx.has_branch, ctx.dtypes = branch is not None, (gain.dtype, bias.dtype)
    ctx.save_for_backward(total if branch is not None else x.contiguous(), keep, gain, mean, scale)


def _backward(ctx, d_total, d_normed, d_mean, d_scale):
    total, keep, gain, mean, scale = ctx.saved_tensors
    keep = keep if ctx.has_branch else None
    dx, d_branch, both = _add_norm_backward(
        d_total if ctx.has_branch else None, d_normed, total, keep, gain, mean, scale
    )
    if not ctx.has_branch:
        d_branch = None
    elif keep is None:
        d_branch = dx
    return dx, d_branch, None, both[0].to(ctx.dtypes[0]), both[1].to(ctx.dtypes[1])


_add_norm.register_autograd(_backward, setup_context=_save)


def add_norm(
    x: Tensor, branch: Tensor | None, keep: Tensor | None, gain: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """See `reference.add_norm`."""
    total, normed, _, _ = _add_norm(x, branch, keep, gain, bias)
    return (x if branch is None else total), normed
