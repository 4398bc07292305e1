"""The order of pairs: a seeded shuffle in which one image's captions stand apart.

It depends on the seed and on the pairs alone, never on the number of parts or workers.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import TypeVar

import numpy as np

from gato_data.permutation import Numbers, combine, key, permute

WINDOW_ROWS, WINDOW_BYTES = 2560, 1 << 26
"""Rows, and bytes of them, that are shuffled together where they can only be read in their order."""
T = TypeVar("T")


def deal(images: Numbers, seed: int, apart: int) -> Numbers:
    """An order of pairs of which several may show the same image.

    Pairs are dealt in rounds, as cards are: every round holds one pair of each image that has any
    left, shuffled. Where a round begins, pairs whose image was shown just before are moved back.

    Args:
        images: int64 (N,), the number of each pair's image, in [0, N).
        seed: of the shuffle.
        apart: pairs next to each other that should show different images, and do where there are
            enough images.

    Returns:
        int64 (N,), numbers of pairs.
    """
    hashes = combine(key(seed, "pairs"), np.arange(len(images)))
    grouped = np.lexsort((hashes, images))
    first = np.searchsorted(images[grouped], np.arange(len(images)))
    rounds = np.empty(len(images), np.int64)
    rounds[grouped] = np.arange(len(images)) - first[images[grouped]]
    order = np.lexsort((hashes, rounds))
    starts = np.flatnonzero(np.diff(rounds[order])) + 1
    for start, stop in pairwise([*starts.tolist(), len(order)]):
        _part_from(order, images, start, min(stop, start + 2 * apart), apart - 1)
    return order


def _part_from(order: Numbers, images: Numbers, start: int, stop: int, before: int) -> None:
    """Move pairs in [start, stop) back whose image is among the `before` last ones, others first, in place."""
    shown = images[order[max(start - before, 0) : start]]
    head = order[start:stop]
    order[start:stop] = head[np.argsort(np.isin(images[head], shown), kind="stable")]


def draw(first: int, count: int, total: int, seed: int, *words: str) -> Numbers:
    """What stands at places `first` to `first + count - 1` of a shuffle of `total` numbers, without holding it all.

    The shuffle is keyed by the seed and the words.
    """
    places = np.arange(first, min(first + count, total))
    sizes = np.full(len(places), total, np.int64)
    return permute(places, sizes, np.full(len(places), key(seed, *words), np.uint64))


def within_windows(rows: Iterable[T], seed: int, size: Callable[[T], int], *words: str) -> Iterator[T]:
    """Rows that can only be read one after the other, shuffled within windows of what memory can hold.

    Args:
        rows: in their order.
        seed: of the shuffle.
        size: bytes of a row.
        words: that key the shuffle, beside the seed.
    """
    window: list[T] = []
    held, number = 0, 0
    for row in rows:
        window.append(row)
        held += size(row)
        if len(window) == WINDOW_ROWS or held >= WINDOW_BYTES:
            yield from _drawn(window, seed, *words, str(number))
            window, held, number = [], 0, number + 1
    yield from _drawn(window, seed, *words, str(number))


def _drawn(window: list[T], seed: int, *words: str) -> Iterator[T]:
    for place in draw(0, len(window), len(window), seed, *words).tolist():
        yield window[place]
