"""Several short episodes in one window: best-fit decreasing bins, decided once from lengths alone.

Bins do not depend on the seed, so packing has no part in resuming: a bin is drawn like any other window.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gato_data.permutation import Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """Which episodes share a window.

    Attributes:
        dataset_bin: int64 (D + 1,), bins before each dataset.
        bin_start: int64 (B + 1,), entries of `episodes` before each bin.
        episodes: int64 (N,), the episodes of all bins, in the order in which they stand in the window.
    """

    dataset_bin: Numbers
    bin_start: Numbers
    episodes: Numbers

    @classmethod
    def none(cls, num_datasets: int) -> "Bins":
        """Nothing is packed."""
        return cls(np.zeros(num_datasets + 1, np.int64), np.zeros(1, np.int64), np.zeros(0, np.int64))

    @classmethod
    def of(cls, tokens: Numbers, fits: Numbers, dataset_episode: Numbers, capacity: int) -> "Bins":
        """Pack the episodes `fits` (ascending), each of at most `capacity` tokens, dataset by dataset."""
        order, sizes, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [0]
        for first, stop in pairwise(dataset_episode.tolist()):
            mine = fits[(fits >= first) & (fits < stop)]
            number, bins = pack(tokens[mine], capacity)
            order.append(mine[np.argsort(number, kind="stable")])
            sizes.append(np.bincount(number, minlength=bins))
            counts.append(bins)
        starts = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
        return cls(np.cumsum(counts), starts.astype(np.int64), np.concatenate(order))


def pack(lengths: Numbers, capacity: int) -> tuple[Numbers, int]:
    """Best-fit decreasing: the longest first, each into the fullest bin that still has room.

    Args:
        lengths: int64 (N,), each from 1 to `capacity`.
        capacity: of a bin.

    Returns:
        The bin of each item, int64 (N,), and the number of bins.
    """
    result, bins = np.zeros(len(lengths), np.int64), 0
    room: list[Numbers] = [np.zeros(0, np.int64)] * (capacity + 1)  # bins by the room that is left in them
    free = np.zeros(capacity + 1, np.int64)
    if not len(lengths):
        return result, 0
    order = np.argsort(-lengths, kind="stable")
    distinct, first = np.unique(-lengths[order], return_index=True)
    for negative, members in zip(distinct.tolist(), np.split(order, first[1:]), strict=True):
        length, rest = -negative, members

        def put(chosen: Numbers, left: int) -> None:
            room[left] = np.concatenate([room[left], chosen])
            free[left] = len(room[left])

        while len(rest):
            fitting = np.flatnonzero(free[length:])
            if not len(fitting):
                each = capacity // length
                new = np.arange(bins, bins - (-len(rest) // each))
                result[rest] = np.repeat(new, each)[: len(rest)]
                put(new[:-1], capacity - each * length)
                put(new[-1:], capacity - (len(rest) - (len(new) - 1) * each) * length)
                bins += len(new)
                break
            left = length + int(fitting[0])
            chosen, room[left] = np.split(room[left], [len(rest)])
            free[left] = len(room[left])
            result[rest[: len(chosen)]] = chosen
            put(chosen, left - length)
            rest = rest[len(chosen) :]
    return result, bins
