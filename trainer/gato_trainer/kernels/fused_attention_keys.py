"""Attention in tiles, backward: the gradients of keys, values and content_bias.

One program holds KEYS keys and walks over the queries that see them. Scores stand as keys by queries here, so that
the weights need no transposition on their way into the next product.
"""

import triton
import triton.language as tl

from gato_trainer.kernels.fused_attention_forward import load_rows, load_vector


@triton.jit
def _key_tile(
    dk, dv, sums, k, v, content, key_segment, q_base, gradient_base, normalizer_base, delta_base,
    distance_base, term_base, segment_base, q_step, gradient_step, distance_step, first_key, n, length, scale_log2,
    SIZE: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
    RELATIVE: tl.constexpr, SEGMENTED: tl.constexpr, DIAGONAL: tl.constexpr,
):  # fmt: skip
    """Add what tile n of the queries gives to the gradients of the keys and values; scores stand as keys by rows."""
    a = tl.arange(0, ROWS)[None, :]
    b = tl.arange(0, KEYS)[:, None]
    rows = n * ROWS + tl.arange(0, ROWS)
    inside = rows < length
    query = load_rows(q_base, q_step, n * ROWS, length, SIZE, ROWS)
    score = tl.dot(k, tl.trans(query))
    if RELATIVE:
        first = length - ROWS - n * ROWS + first_key
        block = load_rows(distance_base, distance_step, first, length, SIZE, KEYS)
        band = tl.dot(block, tl.trans(query)) + load_vector(term_base, first, length, KEYS)[:, None]
        block = load_rows(distance_base, distance_step, first + KEYS, length, SIZE, KEYS)
        after = tl.dot(block, tl.trans(query)) + load_vector(term_base, first + KEYS, length, KEYS)[:, None]
        band = tl.where(b >= ROWS - 1 - a, band, after)
        score += tl.gather(band, (b - a - 1 + ROWS) & (KEYS - 1), 0) + content[:, None]
    normalizer = tl.load(normalizer_base + rows, mask=inside, other=float("inf"))
    weight = tl.exp2(score * scale_log2 - normalizer[None, :])
    if DIAGONAL:
        weight = tl.where(first_key + b <= rows[None, :], weight, 0.0)
    if SEGMENTED:
        row_segment = tl.load(segment_base + rows, mask=inside, other=-1)
        weight = tl.where(key_segment[:, None] == row_segment[None, :], weight, 0.0)
    gradient = load_rows(gradient_base, gradient_step, n * ROWS, length, SIZE, ROWS)
    dv = tl.dot(weight.to(gradient.dtype), gradient, dv)
    d_weight = tl.dot(v, tl.trans(gradient))
    delta = tl.load(delta_base + rows, mask=inside, other=0.0)
    d_score = weight * (d_weight - delta[None, :])
    dk = tl.dot(d_score.to(query.dtype), query, dk)
    return dk, dv, sums + tl.sum(d_score, 1)


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
    q_base = q_ptr + start * q_step + head * SIZE
    gradient_base = gradient_ptr + start * heads * SIZE + head * SIZE
    segment_base = segment_ptr + start
    distance_base = distance_ptr + head * distance_head
    content_base = content_ptr + start * heads + head * length
    term_base = term_ptr + head * length
    row_start = start * heads + head * length
    e = tl.arange(0, SIZE)
    keys = first_key + tl.arange(0, KEYS)
    inside = keys < length
    k = load_rows(k_ptr + start * k_step + head * SIZE, k_step, first_key, length, SIZE, KEYS)
    v = load_rows(v_ptr + start * v_step + head * SIZE, v_step, first_key, length, SIZE, KEYS)
    content = tl.zeros([KEYS], tl.float32)
    if RELATIVE:
        content = load_vector(content_base, first_key, length, KEYS)
    key_segment = keys
    if SEGMENTED:
        key_segment = tl.load(segment_base + keys, mask=inside, other=-1)
    dk = tl.zeros([KEYS, SIZE], tl.float32)
    dv = tl.zeros([KEYS, SIZE], tl.float32)
    sums = tl.zeros([KEYS], tl.float32)
    row_tiles = tl.cdiv(length, ROWS)
    beyond = tl.minimum((first_key + KEYS) // ROWS, row_tiles)
    for n in range(first_key // ROWS, beyond):
        dk, dv, sums = _key_tile(
            dk, dv, sums, k, v, content, key_segment, q_base, gradient_base,
            normalizer_ptr + row_start, delta_ptr + row_start, distance_base, term_base, segment_base,
            q_step, heads * SIZE, distance_step, first_key, n, length, scale_log2,
            SIZE, ROWS, KEYS, RELATIVE, SEGMENTED, True,
        )  # fmt: skip
    for n in range(beyond, row_tiles):
        dk, dv, sums = _key_tile(
            dk, dv, sums, k, v, content, key_segment, q_base, gradient_base,
            normalizer_ptr + row_start, delta_ptr + row_start, distance_base, term_base, segment_base,
            q_step, heads * SIZE, distance_step, first_key, n, length, scale_log2,
            SIZE, ROWS, KEYS, RELATIVE, SEGMENTED, False,
        )  # fmt: skip
    if RELATIVE:
        dk += sums[:, None] * tl.load(content_bias_ptr + head * SIZE + e)[None, :]
    place = start * dk_step + head * SIZE + keys[:, None] * dk_step + e[None, :]
    tl.store(dk_ptr + place, (dk * scale).to(k.dtype), mask=inside[:, None])
    tl.store(dv_ptr + place, dv.to(k.dtype), mask=inside[:, None])
    if RELATIVE:
        part = tl.sum(tl.where(inside[:, None], sums[:, None] * k, 0.0), 0) * scale
        tl.store(d_content_bias_ptr + (window_head.to(tl.int64) * tiles + tile) * SIZE + e, part)
