"""The tied head and its loss: a matrix product of the library, then one kernel over the logits, in place.

The kernel reads a row of logits twice (the second time from the L2 cache) and leaves the gradient
of the row's loss in its place, so logits exist once, in the dtype that is computed in; the
reference keeps them in float32 as well. The loss's own gradient is not known yet: it is one factor
a row, which the backward applies to the other operand of its two matrix products. The vocabulary is
padded to a multiple of 128, which the matrix unit's loads want.

Of more than `KEPT_ROWS` rows nothing of that size is kept: the backward makes the logits again,
piece by piece. Shapes depend on the number of rows alone and nothing waits for the device. A row
whose target is -1 is padding, for a caller that wants a fixed number of rows.
"""

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

if TYPE_CHECKING:
    from gato_trainer.kernels import Shapes

KEPT_ROWS = 28_672
"""Rows whose logits exist at one time: in bf16 the memory that the reference needs for its
4,096."""

_ALIGNMENT = 128
_BLOCK, _WARPS = 2048, 8


def why_not(shapes: "Shapes") -> str | None:
    """Why this file does not take the shapes, or None: it takes all."""
    return None


@triton.jit(do_not_specialize=["vocabulary"])
def cross_entropy(
    logits, target, loss, correct, log_sum, columns, vocabulary,
    KNOWN: tl.constexpr, GRADIENT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One row of logits (N, columns), of which the first `vocabulary` are ids and the others nothing.

    KNOWN: `log_sum` was computed before, only the gradient is wanted. GRADIENT: logits become the
        loss's gradient.
    """
    row = tl.program_id(0).to(tl.int64)
    place = logits + row * columns
    wanted = tl.load(target + row)
    is_row = wanted >= 0
    if KNOWN:
        log_total = tl.load(log_sum + row)
    else:
        of_target = tl.load(place + wanted, mask=is_row, other=0.0).to(tl.float32)
        largest = -float("inf")
        total = tl.zeros((BLOCK,), tl.float32)
        beaten = tl.zeros((BLOCK,), tl.int32)
        for begin in range(0, vocabulary, BLOCK):
            column = begin + tl.arange(0, BLOCK)
            # Masked by the multiple of 128, so that a thread loads 16 bytes at once; then by the
            # real size.
            value = tl.load(place + column, mask=column < columns, other=0.0).to(tl.float32)
            value = tl.where(column < vocabulary, value, -float("inf"))
            larger = tl.maximum(largest, tl.max(value, axis=0))
            total = total * tl.exp(largest - larger) + tl.exp(value - larger)
            largest = larger
            # Of equal logits the first counts as the likeliest, as in torch.argmax.
            better = (value > of_target) | ((value == of_target) & (column < wanted))
            beaten = beaten | better.to(tl.int32)
        log_total = largest + tl.log(tl.sum(total, axis=0))
        tl.store(log_sum + row, log_total)
        tl.store(loss + row, tl.where(is_row, log_total - of_target, 0.0))
        tl.store(correct + row, (is_row & (tl.max(beaten, axis=0) == 0)).to(tl.int8))
    if GRADIENT:
        for begin in range(0, columns, BLOCK):
            column = begin + tl.arange(0, BLOCK)
            value = tl.load(place + column, mask=column < columns, other=0.0).to(tl.float32)
            gradient = tl.exp(value - log_total) - tl.where(column == wanted, 1.0, 0.0)
            gradient = tl.where(is_row & (column < vocabulary), gradient, 0.0)
            tl.store(place + column, gradient.to(logits.dtype.element_ty), mask=column < columns)


def _launch(
    logits: Tensor, target: Tensor, results: list[Tensor], vocabulary: int, known: bool, gradient: bool
) -> None:
    if len(target):
        cross_entropy[(len(target),)](
            logits, target, *results, logits.shape[1], vocabulary,
            KNOWN=known, GRADIENT=gradient, BLOCK=_BLOCK, num_warps=_WARPS,
        )  # fmt: skip


def _padded(table: Tensor, dtype: torch.dtype) -> Tensor:
    """The table (V, D) in `dtype`, with rows of zeros up to a multiple of the alignment."""
    rows = -(-len(table) // _ALIGNMENT) * _ALIGNMENT
    padded = torch.empty((rows, table.shape[1]), dtype=dtype, device=table.device)
    padded[: len(table)] = table
    padded[len(table) :] = 0
    return padded


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, table, target, train):
        n, vocabulary = len(hidden), len(table)
        weight, target = _padded(table, hidden.dtype), target.contiguous()
        loss, log_sum = (torch.empty(n, dtype=torch.float32, device=hidden.device) for _ in range(2))
        correct = torch.empty(n, dtype=torch.int8, device=hidden.device)
        keep = train and n <= KEPT_ROWS
        gradient = None
        for begin in range(0, n, KEPT_ROWS):
            piece = slice(begin, begin + KEPT_ROWS)
            gradient = None  # frees the last piece's before the next are made
            gradient = hidden[piece] @ weight.T
            results = [loss[piece], correct[piece], log_sum[piece]]
            _launch(gradient, target[piece], results, vocabulary, known=False, gradient=keep)
        if train:
            ctx.table = (vocabulary, table.dtype)
            ctx.save_for_backward(hidden, weight, target, log_sum, gradient if keep else None)
        correct = correct.view(torch.bool)
        ctx.mark_non_differentiable(correct)
        return loss, correct

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d_loss, _):
        hidden, weight, target, log_sum, kept = ctx.saved_tensors
        vocabulary, table_dtype = ctx.table
        factor = d_loss[:, None]
        d_hidden, d_weight = torch.empty_like(hidden), None
        for begin in range(0, len(hidden), KEPT_ROWS):
            piece = slice(begin, begin + KEPT_ROWS)
            gradient = kept
            if gradient is None:
                gradient = hidden[piece] @ weight.T
                unused = [log_sum[piece], target[piece], log_sum[piece]]
                _launch(gradient, target[piece], unused, vocabulary, known=True, gradient=True)
            d_hidden[piece] = (gradient @ weight) * factor[piece]
            scaled = (hidden[piece] * factor[piece]).to(hidden.dtype)
            part = (gradient.T @ scaled)[:vocabulary].to(table_dtype)
            d_weight = part if d_weight is None else d_weight.add_(part)
        if d_weight is None:
            d_weight = torch.zeros((vocabulary, hidden.shape[1]), dtype=table_dtype, device=hidden.device)
        return d_hidden, d_weight, None, None


def linear_cross_entropy(hidden: Tensor, table: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """See `reference.linear_cross_entropy`."""
    train = torch.is_grad_enabled() and (hidden.requires_grad or table.requires_grad)
    result: tuple[Tensor, Tensor] = _LinearCrossEntropy.apply(hidden, table, target, train)
    return result
