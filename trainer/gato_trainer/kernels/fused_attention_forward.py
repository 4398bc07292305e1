"""Attention in tiles: the forward kernel.

One program computes ROWS queries of one head. It walks over tiles of KEYS keys with an online
softmax, so no score is ever stored; the softmax works in powers of two. Everything is causal. Tiles
that lie wholly in an earlier packed episode are passed over.
"""

from typing import Any, NamedTuple

import triton
import triton.language as tl

from gato_trainer.kernels.fused_attention_scores import (
    MASKED,
    Constants,
    Head,
    first_bands,
    load_rows,
    tile_scores,
    visible,
)


class _Softmax(NamedTuple):
    """The online softmax of ROWS queries, and the bands of `tile_scores`.

    Attributes:
        largest, total: (ROWS,), the largest score, and the sum of weights. mixed: (ROWS, SIZE).
    """

    largest: Any
    total: Any
    mixed: Any
    lower: Any
    older: Any


@triton.jit
def _forward_tile(state, query, row_segment, head, first_row, n, scale_log2, C: tl.constexpr, DIAGONAL: tl.constexpr):
    """Take in tile n of the keys."""
    keys = n * C.KEYS + tl.arange(0, C.KEYS)
    k = load_rows(head.k, head.k_step, n * C.KEYS, head.length, C.SIZE, C.KEYS)
    score, upper, newest = tile_scores(state.lower, state.older, query, k, head, first_row, n, C)
    score *= scale_log2
    if DIAGONAL:
        score = tl.where(keys[None, :] <= first_row + tl.arange(0, C.ROWS)[:, None], score, MASKED)
    if C.SEGMENTED:
        key_segment = tl.load(head.segment + keys, mask=keys < head.length, other=-1)
        score = tl.where(row_segment[:, None] == key_segment[None, :], score, MASKED)
    larger = tl.maximum(state.largest, tl.max(score, 1))
    weight = tl.exp2(score - larger[:, None])
    fade = tl.exp2(state.largest - larger)
    total = state.total * fade + tl.sum(weight, 1)
    v = load_rows(head.v, head.v_step, n * C.KEYS, head.length, C.SIZE, C.KEYS)
    mixed = tl.dot(weight.to(v.dtype), v, state.mixed * fade[:, None])
    return _Softmax(larger, total, mixed, upper, newest)


@triton.jit
def attention_forward(
    q_ptr, k_ptr, v_ptr, distance_ptr, content_ptr, term_ptr, segment_ptr, out_ptr, normalizer_ptr,
    q_step, k_step, v_step, distance_head, distance_step, heads, length, scale_log2,
    SIZE: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, RELATIVE: tl.constexpr, SEGMENTED: tl.constexpr,
):  # fmt: skip
    """The mixed values of ROWS queries, and the base 2 logarithms of their softmax's sums."""
    tiles = tl.cdiv(length, ROWS)
    window_head = tl.program_id(0) // tiles
    first_row = (tiles - 1 - tl.program_id(0) % tiles) * ROWS  # the longest first
    head = window_head % heads
    start = (window_head // heads).to(tl.int64) * length
    at = Head(
        q=q_ptr + start * q_step + head * SIZE,
        k=k_ptr + start * k_step + head * SIZE,
        v=v_ptr + start * v_step + head * SIZE,
        distance=distance_ptr + head * distance_head,
        content=content_ptr + start * heads + head * length,
        term=term_ptr + head * length,
        segment=segment_ptr + start,
        q_step=q_step,
        k_step=k_step,
        v_step=v_step,
        distance_step=distance_step,
        length=length,
    )
    constants: tl.constexpr = Constants(SIZE, ROWS, KEYS, RELATIVE, SEGMENTED)
    e = tl.arange(0, SIZE)
    rows = first_row + tl.arange(0, ROWS)
    query = load_rows(at.q, q_step, first_row, length, SIZE, ROWS)
    first_tile = 0
    row_segment = rows
    if SEGMENTED:
        first_tile = visible(at.segment, first_row, 0, first_row, length, ROWS)[0] // KEYS
        row_segment = tl.load(at.segment + rows, mask=rows < length, other=-1)
    lower, older = first_bands(query, at, first_row, first_tile, constants)
    largest = tl.full([ROWS], MASKED, tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    state = _Softmax(largest, total, tl.zeros([ROWS, SIZE], tl.float32), lower, older)
    for diagonal in tl.static_range(2):
        begin = first_row // KEYS if diagonal else first_tile
        end = (first_row + ROWS) // KEYS if diagonal else first_row // KEYS
        for n in range(begin, end):
            state = _forward_tile(state, query, row_segment, at, first_row, n, scale_log2, constants, diagonal)
    out_step = heads * SIZE
    out = out_ptr + start * out_step + head * SIZE + rows[:, None] * out_step + e[None, :]
    tl.store(out, (state.mixed / state.total[:, None]).to(query.dtype), mask=(rows < length)[:, None])
    normalizer = state.largest + tl.log2(state.total)
    tl.store(normalizer_ptr + start * heads + head * length + rows, normalizer, mask=rows < length)
