"""Attention with rotary positions: one kernel turns queries and keys, then torch's attention or our own tiles.

Heads of 64 and 128 features go to cuDNN's or the flash kernel of torch, whose backward is unsafe
with a mask; packed episodes, and heads of 16 and 32, which these libraries pad or do not tune for,
go to `fused_attention`.
"""

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor
from torch.nn.attention import sdpa_kernel

from gato_trainer.kernels import fused_attention as tiles
from gato_trainer.kernels.fused_attention_tiles import why_not
from gato_trainer.kernels.fused_attention_tuning import tune
from gato_trainer.kernels.reference import BACKENDS

__all__ = ["rotary_attention", "tune", "why_not"]

LIBRARY_SIZES = (64, 128)
"""Head sizes for which torch's own attention runs where no episodes are packed."""

_TOKENS, _PAIRS = 8, 128


@triton.jit
def rotate(
    q_ptr, k_ptr, cos_ptr, sin_ptr, q_out_ptr, k_out_ptr, q_step, k_step, tokens, length,
    WIDTH: tl.constexpr, HALF: tl.constexpr, INVERSE: tl.constexpr, TOKENS: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """Turn pairs of features (e, e + HALF) of TOKENS tokens; WIDTH is that of all heads."""
    token = tl.program_id(0).to(tl.int64) * TOKENS + tl.arange(0, TOKENS)
    pair = tl.program_id(1) * PAIRS + tl.arange(0, PAIRS)
    inside = (token < tokens)[:, None] & (pair < WIDTH // 2)[None, :]
    feature = pair // HALF * 2 * HALF + pair % HALF
    turn = (token % length)[:, None] * HALF + (pair % HALF)[None, :]
    cos = tl.load(cos_ptr + turn, mask=inside, other=0.0)
    sin = tl.load(sin_ptr + turn, mask=inside, other=0.0)
    if INVERSE:
        sin = -sin
    place = token[:, None] * WIDTH + feature[None, :]
    for which in tl.static_range(2):
        x_ptr = q_ptr if which == 0 else k_ptr
        out_ptr = q_out_ptr if which == 0 else k_out_ptr
        x = x_ptr + token[:, None] * (q_step if which == 0 else k_step) + feature[None, :]
        first = tl.load(x, mask=inside, other=0.0).to(tl.float32)
        second = tl.load(x + HALF, mask=inside, other=0.0).to(tl.float32)
        tl.store(out_ptr + place, (first * cos - second * sin).to(out_ptr.dtype.element_ty), mask=inside)
        tl.store(out_ptr + place + HALF, (second * cos + first * sin).to(out_ptr.dtype.element_ty), mask=inside)


@torch.library.custom_op("gato::rotate", mutates_args=())
def _rotate(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
    """q and k (B, H, T, E) turned by the angles, or back; the results lie in memory as (B, T, H, E)."""
    q, k, cos, sin = tiles.with_steps(q), tiles.with_steps(k), cos.contiguous(), sin.contiguous()
    windows, heads, length, size = q.shape
    q_out, k_out = _like(q), _like(k)
    grid = (triton.cdiv(windows * length, _TOKENS), triton.cdiv(heads * size // 2, _PAIRS))
    rotate[grid](
        q, k, cos, sin, q_out, k_out, q.stride(2), k.stride(2), windows * length, length,
        WIDTH=heads * size, HALF=size // 2, INVERSE=inverse, TOKENS=_TOKENS, PAIRS=_PAIRS, num_warps=4,
    )  # fmt: skip
    return q_out, k_out


def _like(x: Tensor) -> Tensor:
    return x.new_empty((x.shape[0], x.shape[2], x.shape[1], x.shape[3])).transpose(1, 2)


@_rotate.register_fake
def _(q, k, cos, sin, inverse):
    return _like(q), _like(k)


def _save_rotate(ctx, inputs, output) -> None:
    _, _, cos, sin, ctx.inverse = inputs
    ctx.save_for_backward(cos, sin)


def _backward_rotate(ctx, dq, dk):
    return *_rotate(dq, dk, *ctx.saved_tensors, not ctx.inverse), None, None, None


_rotate.register_autograd(_backward_rotate, setup_context=_save_rotate)


@torch.library.custom_op("gato::attention", mutates_args=())
def _attention(q: Tensor, k: Tensor, v: Tensor, segment: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mixed values (B, T, H, E) and normalizers (B, H, T)."""
    q, k, v = (tiles.with_steps(x) for x in (q, k, v))
    return tiles.forward(q, k, v, None, segment)


@_attention.register_fake
def _(q, k, v, segment):
    return tiles.new_results(q)


@torch.library.custom_op("gato::attention_backward", mutates_args=())
def _attention_backward(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, segment: Tensor | None, out: Tensor, normalizer: Tensor
) -> Tensor:
    """Gradients of q, k and v as (B, T, 3, H, E)."""
    q, k, v = (tiles.with_steps(x) for x in (q, k, v))
    return tiles.backward(gradient.contiguous(), q, k, v, out, normalizer, None, segment)[0]


@_attention_backward.register_fake
def _(gradient, q, k, v, segment, out, normalizer):
    return tiles.new_gradients(q)


def _save(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs, *output)
    ctx.set_materialize_grads(False)


def _backward(ctx, d_out, d_normalizer):
    if d_out is None:
        return (None,) * 4
    gradients = _attention_backward(d_out, *ctx.saved_tensors)
    return *gradients.permute(2, 0, 3, 1, 4).unbind(0), None


_attention.register_autograd(_backward, setup_context=_save)


def rotary_attention(q: Tensor, k: Tensor, v: Tensor, angle: Tensor, segment: Tensor | None = None) -> Tensor:
    """See `reference.rotary_attention`; the result lies in memory as (B, T, H, E)."""
    q, k = _rotate(q, k, angle.cos(), angle.sin(), False)
    if segment is not None or q.shape[-1] not in LIBRARY_SIZES:
        out: Tensor = _attention(q, k, v, segment)[0]
        return out.transpose(1, 2)
    if not q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    with sdpa_kernel(BACKENDS, set_priority=True):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
