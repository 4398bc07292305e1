"""Attention in tiles: the forward kernel, and what the backward kernels share with it.

One program computes ROWS queries of one head. It walks over tiles of KEYS keys with an online softmax, so no score
is ever stored; the softmax works in powers of two. Everything is causal.

With Transformer-XL positions the score of query i for key j is q_i . k_j + content_j + q_i . r_{i-j} + term_{i-j},
where content_j = content_bias . k_j and term_m = distance_bias . r_m are computed before. The scores of a tile need
a band of ROWS + KEYS - 1 distances. They are taken in blocks of KEYS rows of `distance`: the queries times a block,
each row a turned right by a + 1 columns (`by_key`), hold the term for the keys b <= a mod KEYS of one tile and for
b > a mod KEYS of the tile before. So walking on by one tile needs one new block, and no score is computed twice.
ROWS is KEYS or twice KEYS there, any multiple of KEYS without the term.
"""

import triton
import triton.language as tl

MASKED = tl.constexpr(-1.0e30)
"""A hidden score: finite, so that a row whose first tiles are all hidden stays a number."""


@triton.jit
def by_key(x, ROWS: tl.constexpr, KEYS: tl.constexpr):
    """Scores by distance to scores by key: [a, b] of the result is x[a, (b - a - 1) mod KEYS]."""
    a = tl.arange(0, ROWS)[:, None]
    b = tl.arange(0, KEYS)[None, :]
    return tl.gather(x, (b - a - 1) & (KEYS - 1), 1)


@triton.jit
def upper_part(older, newest, ROWS: tl.constexpr, KEYS: tl.constexpr):
    """What holds for the later keys of this tile, and for the earlier keys of the next one, of two turned blocks."""
    if ROWS > KEYS:
        newest = tl.where(tl.arange(0, ROWS)[:, None] >= KEYS, older, newest)
    return newest


@triton.jit
def is_lower(ROWS: tl.constexpr, KEYS: tl.constexpr):
    """Which scores of a tile come from the lower part."""
    a = tl.arange(0, ROWS)[:, None]
    return tl.arange(0, KEYS)[None, :] <= (a & (KEYS - 1))


@triton.jit
def load_rows(base, step, first, length, SIZE: tl.constexpr, COUNT: tl.constexpr):
    """Rows first .. first + COUNT - 1 of a matrix with rows of SIZE numbers, `step` apart; zeros outside of it."""
    rows = first + tl.arange(0, COUNT)
    inside = (rows >= 0) & (rows < length)
    return tl.load(base + rows[:, None] * step + tl.arange(0, SIZE)[None, :], mask=inside[:, None], other=0.0)


@triton.jit
def load_vector(base, first, length, COUNT: tl.constexpr):
    """Numbers first .. first + COUNT - 1 of a vector; zeros outside of it."""
    place = first + tl.arange(0, COUNT)
    return tl.load(base + place, mask=(place >= 0) & (place < length), other=0.0)


@triton.jit
def distance_scores(query, base, step, term, first, length, SIZE: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr):
    """The queries times the block of distances that begins at row `first`, by key."""
    block = load_rows(base, step, first, length, SIZE, KEYS)
    score = tl.dot(query, tl.trans(block)) + load_vector(term, first, length, KEYS)[None, :]
    return by_key(score, ROWS, KEYS)


@triton.jit
def tile_scores(
    lower, older, query, k, content_base, distance_base, term_base, distance_step, first_row, n, length,
    SIZE: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, RELATIVE: tl.constexpr,
):  # fmt: skip
    """Scores of tile n of the keys, before scale and mask; and what the next tile needs as its lower and older."""
    score = tl.dot(query, tl.trans(k))
    newest = older
    upper = lower
    if RELATIVE:
        first = length - first_row - KEYS + (n + 1) * KEYS
        newest = distance_scores(query, distance_base, distance_step, term_base, first, length, SIZE, ROWS, KEYS)
        upper = upper_part(older, newest, ROWS, KEYS)
        score += tl.where(is_lower(ROWS, KEYS), lower, upper)
        score += load_vector(content_base, n * KEYS, length, KEYS)[None, :]
    return score, upper, newest


@triton.jit
def _forward_tile(
    largest, total, mixed, lower, older, query, row_segment,
    k_base, v_base, content_base, distance_base, term_base, segment_base, k_step, v_step, distance_step,
    first_row, n, length, scale_log2,
    SIZE: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
    RELATIVE: tl.constexpr, SEGMENTED: tl.constexpr, DIAGONAL: tl.constexpr,
):  # fmt: skip
    """Take in tile n of the keys."""
    keys = n * KEYS + tl.arange(0, KEYS)
    k = load_rows(k_base, k_step, n * KEYS, length, SIZE, KEYS)
    score, upper, newest = tile_scores(
        lower, older, query, k, content_base, distance_base, term_base, distance_step, first_row, n, length,
        SIZE, ROWS, KEYS, RELATIVE,
    )  # fmt: skip
    score *= scale_log2
    if DIAGONAL:
        score = tl.where(keys[None, :] <= first_row + tl.arange(0, ROWS)[:, None], score, MASKED)
    if SEGMENTED:
        key_segment = tl.load(segment_base + keys, mask=keys < length, other=-1)
        score = tl.where(row_segment[:, None] == key_segment[None, :], score, MASKED)
    larger = tl.maximum(largest, tl.max(score, 1))
    weight = tl.exp2(score - larger[:, None])
    fade = tl.exp2(largest - larger)
    total = total * fade + tl.sum(weight, 1)
    v = load_rows(v_base, v_step, n * KEYS, length, SIZE, KEYS)
    mixed = tl.dot(weight.to(v.dtype), v, mixed * fade[:, None])
    return larger, total, mixed, upper, newest


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
    k_base = k_ptr + start * k_step + head * SIZE
    v_base = v_ptr + start * v_step + head * SIZE
    segment_base = segment_ptr + start
    distance_base = distance_ptr + head * distance_head
    content_base = content_ptr + start * heads + head * length
    term_base = term_ptr + head * length
    e = tl.arange(0, SIZE)
    rows = first_row + tl.arange(0, ROWS)
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
        row_segment = tl.load(segment_base + rows, mask=rows < length, other=-1)
    largest = tl.full([ROWS], MASKED, tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    mixed = tl.zeros([ROWS, SIZE], tl.float32)
    for n in range(0, first_row // KEYS):
        largest, total, mixed, lower, older = _forward_tile(
            largest, total, mixed, lower, older, query, row_segment,
            k_base, v_base, content_base, distance_base, term_base, segment_base, k_step, v_step, distance_step,
            first_row, n, length, scale_log2, SIZE, ROWS, KEYS, RELATIVE, SEGMENTED, False,
        )  # fmt: skip
    for n in range(first_row // KEYS, (first_row + ROWS) // KEYS):
        largest, total, mixed, lower, older = _forward_tile(
            largest, total, mixed, lower, older, query, row_segment,
            k_base, v_base, content_base, distance_base, term_base, segment_base, k_step, v_step, distance_step,
            first_row, n, length, scale_log2, SIZE, ROWS, KEYS, RELATIVE, SEGMENTED, True,
        )  # fmt: skip
    out_step = heads * SIZE
    out = out_ptr + start * out_step + head * SIZE + rows[:, None] * out_step + e[None, :]
    tl.store(out, (mixed / total[:, None]).to(query.dtype), mask=(rows < length)[:, None])
    tl.store(normalizer_ptr + start * heads + head * length + rows, largest + tl.log2(total), mask=rows < length)
