"""Attention in tiles, backward: the gradients of queries and distances.

The kernel for queries walks over keys as the forward does and computes the scores again. With
Transformer-XL positions it also turns the gradient of the scores back, so that columns belong to
distances, and stores that: the gradient of `distance` is then a matrix product over all windows,
which a second kernel adds up in a fixed order.
"""

from typing import Any, NamedTuple

import triton
import triton.language as tl

from gato_trainer.kernels.fused_attention_scores import (
    Constants,
    Head,
    first_bands,
    is_lower,
    load_rows,
    tile_scores,
    visible,
)


class _Queries(NamedTuple):
    """What a tile needs to know of the ROWS queries of a program.

    Attributes:
        query, gradient: (ROWS, SIZE), the latter of the mixed values.
        segment, normalizer, delta: (ROWS,), delta the sums of out times gradient.
        band: where the gradients of scores by distance go, `padded` numbers from row to row.
    """

    query: Any
    gradient: Any
    segment: Any
    normalizer: Any
    delta: Any
    band: Any
    padded: Any


class _QueryGradients(NamedTuple):
    """dq (ROWS, SIZE), the bands of `tile_scores`, and the last tile's gradients of scores, in all and lower part."""

    dq: Any
    lower: Any
    older: Any
    d_score: Any
    d_lower: Any


@triton.jit
def by_distance(x, ROWS: tl.constexpr, KEYS: tl.constexpr):
    """The inverse of `by_key`: [a, c] of the result is x[a, (c + a + 1) mod KEYS]."""
    a = tl.arange(0, ROWS)[:, None]
    c = tl.arange(0, KEYS)[None, :]
    return tl.gather(x, (c + a + 1) & (KEYS - 1), 1)


@triton.jit
def _band_place(band, padded, first_row, n, C: tl.constexpr):
    """Where the gradients of scores by distance go that tile n of the keys completes."""
    rows = tl.arange(0, C.ROWS)[:, None] * padded
    columns = first_row + C.ROWS - (n + 1) * C.KEYS + tl.arange(0, C.KEYS)[None, :]
    return band + rows + columns


@triton.jit
def _query_tile(sums, queries, head, first_row, n, scale_log2, C: tl.constexpr, DIAGONAL: tl.constexpr):
    """Add what tile n of the keys gives to the gradient of the queries."""
    keys = n * C.KEYS + tl.arange(0, C.KEYS)
    k = load_rows(head.k, head.k_step, n * C.KEYS, head.length, C.SIZE, C.KEYS)
    score, upper, newest = tile_scores(sums.lower, sums.older, queries.query, k, head, first_row, n, C)
    weight = tl.exp2(score * scale_log2 - queries.normalizer[:, None])
    if DIAGONAL:
        weight = tl.where(keys[None, :] <= first_row + tl.arange(0, C.ROWS)[:, None], weight, 0.0)
    if C.SEGMENTED:
        key_segment = tl.load(head.segment + keys, mask=keys < head.length, other=-1)
        weight = tl.where(queries.segment[:, None] == key_segment[None, :], weight, 0.0)
    v = load_rows(head.v, head.v_step, n * C.KEYS, head.length, C.SIZE, C.KEYS)
    d_weight = tl.dot(queries.gradient, tl.trans(v))
    d_score = (weight * (d_weight - queries.delta[:, None])).to(k.dtype)
    dq = tl.dot(d_score, k, sums.dq)
    d_lower = sums.d_lower
    if C.RELATIVE:
        d_lower = tl.where(is_lower(C.ROWS, C.KEYS), d_score, sums.d_score)
        band = d_lower
        if C.ROWS > C.KEYS:
            band = tl.where(tl.arange(0, C.ROWS)[:, None] >= C.KEYS, d_lower, sums.d_lower)
        band = by_distance(band, C.ROWS, C.KEYS)
        first = head.length - first_row - C.ROWS + n * C.KEYS
        block = load_rows(head.distance, head.distance_step, first, head.length, C.SIZE, C.KEYS)
        dq = tl.dot(band, block, dq)
        tl.store(_band_place(queries.band, queries.padded, first_row, n, C), band)
    return _QueryGradients(dq, upper, newest, d_score, d_lower)


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
    out_start = start * heads * SIZE + head * SIZE
    padded = tiles * ROWS
    band = band_ptr + (window_head.to(tl.int64) * padded + first_row) * padded
    first_tile = 0
    if SEGMENTED:
        first_tile = visible(at.segment, first_row, 0, first_row, length, ROWS)[0] // KEYS
        if RELATIVE:
            for n in range(0, first_tile):
                zeros = tl.zeros([ROWS, KEYS], band_ptr.dtype.element_ty)
                tl.store(_band_place(band, padded, first_row, n, constants), zeros)
    e = tl.arange(0, SIZE)
    rows = first_row + tl.arange(0, ROWS)
    inside = rows < length
    out = load_rows(out_ptr + out_start, heads * SIZE, first_row, length, SIZE, ROWS)
    gradient = load_rows(gradient_ptr + out_start, heads * SIZE, first_row, length, SIZE, ROWS)
    delta = tl.sum(out.to(tl.float32) * gradient.to(tl.float32), 1)
    row_start = start * heads + head * length
    tl.store(delta_ptr + row_start + rows, delta, mask=inside)
    normalizer = tl.load(normalizer_ptr + row_start + rows, mask=inside, other=float("inf"))
    query = load_rows(at.q, q_step, first_row, length, SIZE, ROWS)
    lower, older = first_bands(query, at, first_row, first_tile, constants)
    segment = rows
    if SEGMENTED:
        segment = tl.load(at.segment + rows, mask=inside, other=-1)
    queries = _Queries(query, gradient, segment, normalizer, delta, band, padded)
    d_score = tl.zeros([ROWS, KEYS], query.dtype)
    sums = _QueryGradients(tl.zeros([ROWS, SIZE], tl.float32), lower, older, d_score, d_score)
    for diagonal in tl.static_range(2):
        begin = first_row // KEYS if diagonal else first_tile
        end = (first_row + ROWS) // KEYS if diagonal else first_row // KEYS
        for n in range(begin, end):
            sums = _query_tile(sums, queries, at, first_row, n, scale_log2, constants, diagonal)
    place = dq_ptr + start * dq_step + head * SIZE + rows[:, None] * dq_step + e[None, :]
    tl.store(place, (sums.dq * scale).to(query.dtype), mask=inside[:, None])


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
