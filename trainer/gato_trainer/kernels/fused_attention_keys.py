"""Attention in tiles, backward: the gradients of keys, values and content_bias.

One program holds KEYS keys and walks over the queries that see them. Scores stand as keys by
queries here, so that the weights need no transposition on their way into the next product.
"""

from typing import Any, NamedTuple

import triton
import triton.language as tl

from gato_trainer.kernels.fused_attention_scores import Constants, Head, load_rows, load_vector, visible


class _Keys(NamedTuple):
    """What a tile needs to know of the KEYS keys of a program, and where that of its queries lies.

    Attributes:
        k, v: (KEYS, SIZE). content, segment: (KEYS,).
        gradient: of the mixed values, `gradient_step` numbers from row to row.
        normalizer, delta: of every query, where those of the head begin.
    """

    k: Any
    v: Any
    content: Any
    segment: Any
    gradient: Any
    gradient_step: Any
    normalizer: Any
    delta: Any


class _KeyGradients(NamedTuple):
    """dk and dv (KEYS, SIZE), and the sums of the scores' gradients (KEYS,)."""

    dk: Any
    dv: Any
    d_score: Any


@triton.jit
def _key_tile(sums, keys, head, first_key, n, scale_log2, C: tl.constexpr, DIAGONAL: tl.constexpr):
    """Add what tile n of the queries gives to the gradients of the keys and values; scores stand as keys by rows."""
    a = tl.arange(0, C.ROWS)[None, :]
    b = tl.arange(0, C.KEYS)[:, None]
    length = head.length
    rows = n * C.ROWS + tl.arange(0, C.ROWS)
    inside = rows < length
    query = load_rows(head.q, head.q_step, n * C.ROWS, length, C.SIZE, C.ROWS)
    score = tl.dot(keys.k, tl.trans(query))
    if C.RELATIVE:
        first = length - C.ROWS - n * C.ROWS + first_key
        band = _distance_scores(query, head, first, C)
        after = _distance_scores(query, head, first + C.KEYS, C)
        band = tl.where(b >= C.ROWS - 1 - a, band, after)
        score += tl.gather(band, (b - a - 1 + C.ROWS) & (C.KEYS - 1), 0) + keys.content[:, None]
    normalizer = tl.load(keys.normalizer + rows, mask=inside, other=float("inf"))
    weight = tl.exp2(score * scale_log2 - normalizer[None, :])
    if DIAGONAL:
        weight = tl.where(first_key + b <= rows[None, :], weight, 0.0)
    if C.SEGMENTED:
        row_segment = tl.load(head.segment + rows, mask=inside, other=-1)
        weight = tl.where(keys.segment[:, None] == row_segment[None, :], weight, 0.0)
    gradient = load_rows(keys.gradient, keys.gradient_step, n * C.ROWS, length, C.SIZE, C.ROWS)
    dv = tl.dot(weight.to(gradient.dtype), gradient, sums.dv)
    d_weight = tl.dot(keys.v, tl.trans(gradient))
    delta = tl.load(keys.delta + rows, mask=inside, other=0.0)
    d_score = weight * (d_weight - delta[None, :])
    dk = tl.dot(d_score.to(query.dtype), query, sums.dk)
    return _KeyGradients(dk, dv, sums.d_score + tl.sum(d_score, 1))


@triton.jit
def _distance_scores(query, head, first, C: tl.constexpr):
    """The block of distances that begins at row `first` times the queries, (KEYS, ROWS)."""
    block = load_rows(head.distance, head.distance_step, first, head.length, C.SIZE, C.KEYS)
    return tl.dot(block, tl.trans(query)) + load_vector(head.term, first, head.length, C.KEYS)[:, None]


@triton.jit
def attention_backward_keys(
    q_ptr, k_ptr, v_ptr, distance_ptr, content_ptr, term_ptr, segment_ptr, gradient_ptr,
    normalizer_ptr, delta_ptr, dk_ptr, dv_ptr, content_bias_ptr, d_content_bias_ptr,
    q_step, k_step, v_step, dk_step, distance_head, distance_step, heads, length, scale_log2, scale,
    SIZE: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, RELATIVE: tl.constexpr, SEGMENTED: tl.constexpr,
):  # fmt: skip
    """dk and dv of KEYS keys, and their part of the gradient of content_bias."""
    tiles = tl.cdiv(length, KEYS)
    window_head = tl.program_id(0) // tiles
    tile = tl.program_id(0) % tiles
    first_key = tile * KEYS
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
    row_start = start * heads + head * length
    e = tl.arange(0, SIZE)
    places = first_key + tl.arange(0, KEYS)
    inside = places < length
    k = load_rows(at.k, k_step, first_key, length, SIZE, KEYS)
    v = load_rows(at.v, v_step, first_key, length, SIZE, KEYS)
    content = tl.zeros([KEYS], tl.float32)
    if RELATIVE:
        content = load_vector(at.content, first_key, length, KEYS)
    segment = places
    if SEGMENTED:
        segment = tl.load(at.segment + places, mask=inside, other=-1)
    gradient = gradient_ptr + start * heads * SIZE + head * SIZE
    normalizer, delta = normalizer_ptr + row_start, delta_ptr + row_start
    keys = _Keys(k, v, content, segment, gradient, heads * SIZE, normalizer, delta)
    zeros = tl.zeros([KEYS, SIZE], tl.float32)
    sums = _KeyGradients(zeros, zeros, tl.zeros([KEYS], tl.float32))
    row_tiles = tl.cdiv(length, ROWS)
    beyond = tl.minimum((first_key + KEYS) // ROWS, row_tiles)
    last_tile = row_tiles
    if SEGMENTED:
        last_tile = tl.cdiv(visible(at.segment, first_key, first_key, length, length, KEYS)[1], ROWS)
    for after in tl.static_range(2):
        begin = beyond if after else first_key // ROWS
        end = last_tile if after else beyond
        for n in range(begin, end):
            sums = _key_tile(sums, keys, at, first_key, n, scale_log2, constants, not after)
    dk = sums.dk
    if RELATIVE:
        dk += sums.d_score[:, None] * tl.load(content_bias_ptr + head * SIZE + e)[None, :]
    place = start * dk_step + head * SIZE + places[:, None] * dk_step + e[None, :]
    tl.store(dk_ptr + place, (dk * scale).to(k.dtype), mask=inside[:, None])
    tl.store(dv_ptr + place, sums.dv.to(k.dtype), mask=inside[:, None])
    if RELATIVE:
        part = tl.sum(tl.where(inside[:, None], sums.d_score[:, None] * k, 0.0), 0) * scale
        tl.store(d_content_bias_ptr + (window_head.to(tl.int64) * tiles + tile) * SIZE + e, part)
