"""Attention in tiles, backward: the gradients of queries and distances.

The kernel for queries walks over keys as the forward does and computes the scores again. With Transformer-XL
positions it also turns the gradient of the scores back, so that columns belong to distances, and stores that: the
gradient of `distance` is then a matrix product over all windows, which a second kernel adds up in a fixed order.
"""

import triton
import triton.language as tl

from gato_trainer.kernels.fused_attention_forward import (
    distance_scores,
    is_lower,
    load_rows,
    tile_scores,
    upper_part,
)


@triton.jit
def by_distance(x, ROWS: tl.constexpr, KEYS: tl.constexpr):
    """The inverse of `by_key`: [a, c] of the result is x[a, (c + a + 1) mod KEYS]."""
    a = tl.arange(0, ROWS)[:, None]
    c = tl.arange(0, KEYS)[None, :]
    return tl.gather(x, (c + a + 1) & (KEYS - 1), 1)


@triton.jit
def _query_tile(
    dq, lower, older, d_score_before, lower_before, query, gradient, row_segment, normalizer, delta,
    k_base, v_base, content_base, distance_base, term_base, segment_base, band_base, k_step, v_step, distance_step,
    first_row, n, length, padded, scale_log2,
    SIZE: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
    RELATIVE: tl.constexpr, SEGMENTED: tl.constexpr, DIAGONAL: tl.constexpr,
):  # fmt: skip
    """Add what tile n of the keys gives to the gradient of the queries."""
    keys = n * KEYS + tl.arange(0, KEYS)
    k = load_rows(k_base, k_step, n * KEYS, length, SIZE, KEYS)
    score, upper, newest = tile_scores(
        lower, older, query, k, content_base, distance_base, term_base, distance_step, first_row, n, length,
        SIZE, ROWS, KEYS, RELATIVE,
    )  # fmt: skip
    weight = tl.exp2(score * scale_log2 - normalizer[:, None])
    if DIAGONAL:
        weight = tl.where(keys[None, :] <= first_row + tl.arange(0, ROWS)[:, None], weight, 0.0)
    if SEGMENTED:
        key_segment = tl.load(segment_base + keys, mask=keys < length, other=-1)
        weight = tl.where(row_segment[:, None] == key_segment[None, :], weight, 0.0)
    v = load_rows(v_base, v_step, n * KEYS, length, SIZE, KEYS)
    d_weight = tl.dot(gradient, tl.trans(v))
    d_score = (weight * (d_weight - delta[:, None])).to(k.dtype)
    dq = tl.dot(d_score, k, dq)
    lower_now = lower_before
    if RELATIVE:
        lower_now = tl.where(is_lower(ROWS, KEYS), d_score, d_score_before)
        band = lower_now
        if ROWS > KEYS:
            band = tl.where(tl.arange(0, ROWS)[:, None] >= KEYS, lower_now, lower_before)
        band = by_distance(band, ROWS, KEYS)
        first = length - first_row - ROWS + n * KEYS
        block = load_rows(distance_base, distance_step, first, length, SIZE, KEYS)
        dq = tl.dot(band, block, dq)
        rows = tl.arange(0, ROWS)[:, None] * padded
        columns = first_row + ROWS - (n + 1) * KEYS + tl.arange(0, KEYS)[None, :]
        tl.store(band_base + rows + columns, band)
    return dq, upper, newest, d_score, lower_now


@triton.jit(do_not_specialize=["first_window"])
def attention_backward_queries(
    q_ptr, k_ptr, v_ptr, distance_ptr, content_ptr, term_ptr, segment_ptr, out_ptr, gradient_ptr,
    normalizer_ptr, delta_ptr, dq_ptr, band_ptr,
    q_step, k_step, v_step, dq_step, distance_head, distance_step, heads, length, first_window, scale_log2, scale,
    SIZE: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, RELATIVE: tl.constexpr, SEGMENTED: tl.constexpr,
):  # fmt: skip
    """dq of ROWS queries; their sums of out times gradient; and the gradient of their scores by distance."""
    tiles = tl.cdiv(length, ROWS)
    window_head = tl.program_id(0) // tiles
    first_row = (tiles - 1 - tl.program_id(0) % tiles) * ROWS  # the longest first
    head = window_head % heads
    start = (first_window + window_head // heads).to(tl.int64) * length
    out_start = start * heads * SIZE + head * SIZE
    k_base = k_ptr + start * k_step + head * SIZE
    v_base = v_ptr + start * v_step + head * SIZE
    segment_base = segment_ptr + start
    distance_base = distance_ptr + head * distance_head
    content_base = content_ptr + start * heads + head * length
    term_base = term_ptr + head * length
    padded = tiles * ROWS
    band_base = band_ptr + (window_head.to(tl.int64) * padded + first_row) * padded
    e = tl.arange(0, SIZE)
    rows = first_row + tl.arange(0, ROWS)
    inside = rows < length
    out = load_rows(out_ptr + out_start, heads * SIZE, first_row, length, SIZE, ROWS)
    gradient = load_rows(gradient_ptr + out_start, heads * SIZE, first_row, length, SIZE, ROWS)
    delta = tl.sum(out.to(tl.float32) * gradient.to(tl.float32), 1)
    row_start = start * heads + head * length
    tl.store(delta_ptr + row_start + rows, delta, mask=inside)
    normalizer = tl.load(normalizer_ptr + row_start + rows, mask=inside, other=float("inf"))
    query = load_rows(q_ptr + start * q_step + head * SIZE, q_step, first_row, length, SIZE, ROWS)
    lower = tl.zeros([ROWS, KEYS], tl.float32)
    older = lower
    if RELATIVE:
        first = length - first_row - ROWS
        lower = distance_scores(query, distance_base, distance_step, term_base, first, length, SIZE, ROWS, KEYS)
        older = lower
        if ROWS > KEYS:
            first += KEYS
            older = distance_scores(query, distance_base, distance_step, term_base, first, length, SIZE, ROWS, KEYS)
            lower = upper_part(lower, older, ROWS, KEYS)
    row_segment = rows
    if SEGMENTED:
        row_segment = tl.load(segment_base + rows, mask=inside, other=-1)
    dq = tl.zeros([ROWS, SIZE], tl.float32)
    d_score = tl.zeros([ROWS, KEYS], query.dtype)
    lower_now = d_score
    for n in range(0, first_row // KEYS):
        dq, lower, older, d_score, lower_now = _query_tile(
            dq, lower, older, d_score, lower_now, query, gradient, row_segment, normalizer, delta,
            k_base, v_base, content_base, distance_base, term_base, segment_base, band_base,
            k_step, v_step, distance_step, first_row, n, length, padded, scale_log2,
            SIZE, ROWS, KEYS, RELATIVE, SEGMENTED, False,
        )  # fmt: skip
    for n in range(first_row // KEYS, (first_row + ROWS) // KEYS):
        dq, lower, older, d_score, lower_now = _query_tile(
            dq, lower, older, d_score, lower_now, query, gradient, row_segment, normalizer, delta,
            k_base, v_base, content_base, distance_base, term_base, segment_base, band_base,
            k_step, v_step, distance_step, first_row, n, length, padded, scale_log2,
            SIZE, ROWS, KEYS, RELATIVE, SEGMENTED, True,
        )  # fmt: skip
    place = dq_ptr + start * dq_step + head * SIZE + rows[:, None] * dq_step + e[None, :]
    tl.store(place, (dq * scale).to(query.dtype), mask=inside[:, None])


@triton.jit(do_not_specialize=["first_window", "windows", "parts"])
def attention_backward_distances(
    q_ptr, band_ptr, d_distance_ptr, sums_ptr,
    q_step, heads, length, first_window, windows, padded, parts,
    SIZE: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    """Add the windows of one part to the gradient of a block of distances, and to the sums of its scores' gradients."""
    blocks = padded // KEYS
    block = tl.program_id(0) % blocks
    head = tl.program_id(0) // blocks % heads
    part = tl.program_id(0) // blocks // heads
    e = tl.arange(0, SIZE)
    c = tl.arange(0, KEYS)
    a = tl.arange(0, ROWS)
    place = ((part * heads + head) * blocks + block).to(tl.int64) * KEYS
    d_distance = tl.load(d_distance_ptr + (place + c[:, None]) * SIZE + e[None, :])
    sums = tl.load(sums_ptr + place + c)
    first_tile = block * KEYS // ROWS
    tiles = padded // ROWS - first_tile
    begin = part * windows // parts
    end = (part + 1) * windows // parts
    for n in range(0, (end - begin) * tiles):
        window = (begin + n // tiles).to(tl.int64)
        first_row = (first_tile + n % tiles) * ROWS
        band_rows = ((window * heads + head) * padded + first_row) * padded + block * KEYS
        band = tl.load(band_ptr + band_rows + a[:, None] * padded + c[None, :])
        q_base = q_ptr + (first_window + window) * length * q_step + head * SIZE
        query = load_rows(q_base, q_step, first_row, length, SIZE, ROWS)
        d_distance = tl.dot(tl.trans(band), query, d_distance)
        sums += tl.sum(band.to(tl.float32), 0)
    tl.store(d_distance_ptr + (place + c[:, None]) * SIZE + e[None, :], d_distance)
    tl.store(sums_ptr + place + c, sums)
