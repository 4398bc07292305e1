"""Attention in tiles: the scores of a tile, which every kernel of it computes.

With Transformer-XL positions the score of query i for key j is q_i . k_j + content_j + q_i .
r_{i-j} + term_{i-j}, where content_j = content_bias . k_j and term_m = distance_bias . r_m are
computed before. The scores of a tile need a band of ROWS + KEYS - 1 distances. They are taken in
blocks of KEYS rows of `distance`: the queries times a block, each row a turned right by a + 1
columns (`by_key`), hold the term for the keys b <= a mod KEYS of one tile and for b > a mod KEYS of
the tile before. So walking on by one tile needs one new block, and no score is computed twice. ROWS
is KEYS or twice KEYS there, any multiple of KEYS without the term.
"""

from typing import Any, NamedTuple

import triton
import triton.language as tl

MASKED = tl.constexpr(-1.0e30)
"""A hidden score: finite, so that a row whose first tiles are all hidden stays a number."""


class Constants(NamedTuple):
    """What a kernel is compiled for: its head size, its tiles, and what there is of scores."""

    SIZE: Any
    ROWS: Any
    KEYS: Any
    RELATIVE: Any
    SEGMENTED: Any


class Head(NamedTuple):
    """One head of one window, inside a kernel: where its arrays begin, and numbers from row to row."""

    q: Any
    k: Any
    v: Any
    distance: Any
    content: Any
    term: Any
    segment: Any
    q_step: Any
    k_step: Any
    v_step: Any
    distance_step: Any
    length: Any


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
def distance_scores(query, head, first, C: tl.constexpr):
    """The queries times the block of distances that begins at row `first`, by key."""
    block = load_rows(head.distance, head.distance_step, first, head.length, C.SIZE, C.KEYS)
    term = load_vector(head.term, first, head.length, C.KEYS)
    return by_key(tl.dot(query, tl.trans(block)) + term[None, :], C.ROWS, C.KEYS)


@triton.jit
def visible(segment, first, begin, end, length, COUNT: tl.constexpr):
    """Which part of tokens [begin, end) the COUNT tokens from `first` on may see: its first, and one behind its last.

    Those between the least and the greatest segment of the COUNT; of packed episodes, which stand one behind another,
    exactly theirs. An empty part is given as (end, begin).
    """
    own = first + tl.arange(0, COUNT)
    ids = tl.load(segment + own, mask=own < length, other=0)
    least = tl.min(tl.where(own < length, ids, 2**62))
    most = tl.max(tl.where(own < length, ids, -(2**62)))
    low, high = end, begin
    for step in range(begin, end, 256):
        place = step + tl.arange(0, 256)
        other = tl.load(segment + place, mask=place < end, other=-(2**62))
        seen = (place < end) & (other >= least) & (other <= most)
        low = tl.minimum(low, tl.min(tl.where(seen, place, end)))
        high = tl.maximum(high, tl.max(tl.where(seen, place + 1, begin)))
    return low, high


@triton.jit
def first_bands(query, head, first_row, n, C: tl.constexpr):
    """What tile n of the keys needs as its lower and older, if it is the first that is computed."""
    lower = tl.zeros([C.ROWS, C.KEYS], tl.float32)
    older = lower
    if C.RELATIVE:
        first = head.length - first_row - C.ROWS + n * C.KEYS
        lower = distance_scores(query, head, first, C)
        older = lower
        if C.ROWS > C.KEYS:
            older = distance_scores(query, head, first + C.KEYS, C)
            lower = upper_part(lower, older, C.ROWS, C.KEYS)
    return lower, older


@triton.jit
def tile_scores(lower, older, query, k, head, first_row, n, C: tl.constexpr):
    """Scores of tile n of the keys, before scale and mask; and what the next tile needs as its lower and older."""
    score = tl.dot(query, tl.trans(k))
    newest = older
    upper = lower
    if C.RELATIVE:
        first = head.length - first_row - C.KEYS + (n + 1) * C.KEYS
        newest = distance_scores(query, head, first, C)
        upper = upper_part(older, newest, C.ROWS, C.KEYS)
        score += tl.where(is_lower(C.ROWS, C.KEYS), lower, upper)
        score += load_vector(head.content, n * C.KEYS, head.length, C.KEYS)[None, :]
    return score, upper, newest
