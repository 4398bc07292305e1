"""Attention in tiles: how the kernels are launched. Relative and rotary attention are made of this."""

import math
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from gato_trainer.kernels.fused_attention_forward import attention_forward
from gato_trainer.kernels.fused_attention_keys import attention_backward_keys
from gato_trainer.kernels.fused_attention_queries import attention_backward_distances, attention_backward_queries
from gato_trainer.kernels.fused_attention_scores import load_rows
from gato_trainer.kernels.fused_attention_tiles import cut

BAND_BYTES = 2**30
"""Memory for the gradients of scores by distance;
more windows than fit are computed in several goes."""

PARTS = 8
"""Most partial sums of the gradient of `distance`; fixed, so that a device does not change the
order of additions."""


@dataclass(frozen=True, slots=True)
class Relative:
    """What the relative term needs.

    Attributes:
        distance: (H, T, E); row c belongs to distance T - 1 - c.
        content_bias: float32 (H, E).
        content: float32 (B, H, T), content_bias times each key.
        term: float32 (H, T), distance_bias times each row of `distance`.
    """

    distance: Tensor
    content_bias: Tensor
    content: Tensor
    term: Tensor


def with_steps(x: Tensor) -> Tensor:
    """x (B, H, T, E) if its strides are (T s, E, s, 1) for some s, as slices of a projection have; else such a copy."""
    _, _, length, size = x.shape
    step = x.stride(2)
    if x.stride() == (length * step, size, step, 1):
        return x
    return x.transpose(1, 2).contiguous().transpose(1, 2)


@triton.jit
def attention_content(
    k_ptr, bias_ptr, content_ptr, k_step, heads, length, SIZE: tl.constexpr, ROWS: tl.constexpr
):  # fmt: skip
    """content_bias times ROWS keys of a head."""
    tiles = tl.cdiv(length, ROWS)
    window_head = tl.program_id(0) // tiles
    first = tl.program_id(0) % tiles * ROWS
    head = window_head % heads
    start = (window_head // heads).to(tl.int64) * length
    k = load_rows(k_ptr + start * k_step + head * SIZE, k_step, first, length, SIZE, ROWS)
    bias = tl.load(bias_ptr + head * SIZE + tl.arange(0, SIZE))
    rows = first + tl.arange(0, ROWS)
    tl.store(content_ptr + start * heads + head * length + rows, tl.sum(k * bias[None, :], 1), mask=rows < length)


def relative_terms(k: Tensor, distance: Tensor, content_bias: Tensor, distance_bias: Tensor) -> tuple[Tensor, Tensor]:
    """`Relative.content` and `Relative.term`."""
    windows, heads, length, size = k.shape
    content = k.new_empty((windows, heads, length), dtype=torch.float32)
    grid = (windows * heads * triton.cdiv(length, 128),)
    attention_content[grid](k, content_bias, content, k.stride(2), heads, length, SIZE=size, ROWS=128)
    return content, (distance.float() * distance_bias[:, None, :]).sum(-1)


def new_results(q: Tensor) -> tuple[Tensor, Tensor]:
    """Uninitialised (B, T, H, E) for the mixed values, and float32 (B, H, T) for the softmax's normalizers."""
    windows, heads, length, size = q.shape
    return q.new_empty((windows, length, heads, size)), q.new_empty((windows, heads, length), dtype=torch.float32)


def new_gradients(q: Tensor) -> Tensor:
    """Uninitialised (B, T, 3, H, E): gradients laid out as one projection makes q, k and v."""
    windows, heads, length, size = q.shape
    return q.new_empty((windows, length, 3, heads, size))


def forward(
    q: Tensor, k: Tensor, v: Tensor, relative: Relative | None, segment: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Attention of q, k, v (B, H, T, E), all of `with_steps`; results as of `new_results`."""
    windows, heads, length, size = q.shape
    out, normalizer = new_results(q)
    tiles = cut(size, relative is not None).forward
    attention_forward[(windows * heads * triton.cdiv(length, tiles.rows),)](
        q, k, v, *_scores(q, relative, segment), out, normalizer,
        q.stride(2), k.stride(2), v.stride(2), *_distance_strides(relative), heads, length,
        math.log2(math.e) / math.sqrt(size),
        SIZE=size, RELATIVE=relative is not None, SEGMENTED=segment is not None, **tiles.options(),
    )  # fmt: skip
    return out, normalizer


def backward(
    gradient: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    normalizer: Tensor,
    relative: Relative | None,
    segment: Tensor | None,
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """All gradients, from that of `out`; both are contiguous (B, T, H, E).

    Returns:
        (B, T, 3, H, E), of q, k and v; float32 (H, T, E) of `distance` without its part through
        `term`; float32 (H, T) of `term`; float32 (H, E) of content_bias. The last three are None
        without a relative term.
    """
    launch = _Launch.of(q, k, v, relative, segment)
    gradients = new_gradients(q)
    dq, dk, dv = gradients.permute(2, 0, 3, 1, 4).unbind(0)
    delta, d_distance, d_term = _backward_queries(gradient, out, normalizer, dq, q, relative, launch)
    d_content_bias = _backward_keys(gradient, normalizer, delta, dk, dv, relative, launch)
    return gradients, d_distance, d_term, d_content_bias


@dataclass(frozen=True, slots=True)
class _Launch:
    """Arguments that both walks of the backward begin with, and their constants."""

    tensors: tuple[Tensor, ...]
    distance_strides: tuple[int, int]
    scale: float
    flags: dict[str, int]

    @classmethod
    def of(cls, q: Tensor, k: Tensor, v: Tensor, relative: Relative | None, segment: Tensor | None) -> "_Launch":
        flags = {"SIZE": q.shape[-1], "RELATIVE": relative is not None, "SEGMENTED": segment is not None}
        scale = 1.0 / math.sqrt(q.shape[-1])
        return cls((q, k, v, *_scores(q, relative, segment)), _distance_strides(relative), scale, flags)

    def steps(self, x: Tensor) -> tuple[int, ...]:
        """Strides of q, k, v, x and distance, heads, and length; x is (B, H, T, E)."""
        q, k, v = self.tensors[:3]
        return (q.stride(2), k.stride(2), v.stride(2), x.stride(2), *self.distance_strides, x.shape[1], x.shape[2])


def _backward_queries(
    gradient: Tensor,
    out: Tensor,
    normalizer: Tensor,
    dq: Tensor,
    q: Tensor,
    relative: Relative | None,
    launch: _Launch,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Writes dq; returns out times gradient summed over features, and the gradients of distance and term."""
    windows, heads, length, size = q.shape
    tiles = cut(size, relative is not None).queries
    padded = triton.cdiv(length, tiles.rows) * tiles.rows
    most = max(1, BAND_BYTES // (heads * padded * padded * q.element_size()))
    # As many turns as the memory asks for, of equal size.
    turn = windows if relative is None else triton.cdiv(windows, max(triton.cdiv(windows, most), 1))
    turn = max(turn, 1)
    delta, parts = torch.empty_like(normalizer), min(PARTS, turn)
    band = q if relative is None else q.new_empty((turn, heads, padded, padded))
    d_distance = q.new_zeros((parts, heads, padded, size), dtype=torch.float32)
    d_term = q.new_zeros((parts, heads, padded), dtype=torch.float32)
    for first in range(0, windows, turn):
        count = min(turn, windows - first)
        attention_backward_queries[(count * heads * (padded // tiles.rows),)](
            *launch.tensors, out, gradient, normalizer, delta, dq, band, *launch.steps(dq), first,
            launch.scale * math.log2(math.e), launch.scale, **launch.flags, **tiles.options(),
        )  # fmt: skip
        if relative is not None:
            attention_backward_distances[(parts * heads * (padded // tiles.keys),)](
                q, band, d_distance, d_term, q.stride(2), heads, length, first, count, padded, parts,
                SIZE=size, ROWS=tiles.rows, KEYS=tiles.keys, num_warps=4, num_stages=3,
            )  # fmt: skip
    if relative is None:
        return delta, None, None
    d_distance = _by_row(d_distance.sum(0) * launch.scale, tiles.keys, length)
    return delta, d_distance, _by_row(d_term.sum(0) * launch.scale, tiles.keys, length)


def _backward_keys(
    gradient: Tensor,
    normalizer: Tensor,
    delta: Tensor,
    dk: Tensor,
    dv: Tensor,
    relative: Relative | None,
    launch: _Launch,
) -> Tensor | None:
    """Writes dk and dv; returns the gradient of content_bias."""
    windows, heads, length, size = dk.shape
    tiles = cut(size, relative is not None).keys
    parts = triton.cdiv(length, tiles.keys)
    partial = normalizer if relative is None else dk.new_empty((windows, heads, parts, size), dtype=torch.float32)
    bias = normalizer if relative is None else relative.content_bias
    attention_backward_keys[(windows * heads * parts,)](
        *launch.tensors, gradient, normalizer, delta, dk, dv, bias, partial, *launch.steps(dk),
        launch.scale * math.log2(math.e), launch.scale, **launch.flags, **tiles.options(),
    )  # fmt: skip
    return None if relative is None else partial.sum((0, 2))


def _by_row(blocks: Tensor, keys: int, length: int) -> Tensor:
    """From blocks of distances, each in falling order, to rows of `distance`, all in falling order."""
    heads, padded, *rest = blocks.shape
    blocks = blocks.view(heads, padded // keys, keys, *rest).flip(2).reshape(heads, padded, *rest)
    return blocks[:, :length].flip(1)


def _scores(q: Tensor, relative: Relative | None, segment: Tensor | None) -> tuple[Tensor, ...]:
    """distance, content, term and segment; q stands for what there is none of, and is not read there."""
    terms = (q, q, q) if relative is None else (relative.distance, relative.content, relative.term)
    return (*terms, q if segment is None else segment.contiguous())


def _distance_strides(relative: Relative | None) -> tuple[int, int]:
    return (0, 0) if relative is None else (relative.distance.stride(0), relative.distance.stride(1))
