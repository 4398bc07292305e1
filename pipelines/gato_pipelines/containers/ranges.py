"""A file of many episodes as ranges of them, so that workers share it."""

from itertools import pairwise
from math import ceil

from gato_pipelines.containers.container import File

RANGE_BYTES = 1 << 26
"""Bytes of a range, as long as episodes are of about one size."""
RANGE_EPISODES = 1 << 14
"""Episodes of a range."""


def episode_ranges(name: str, size: int, num_episodes: int) -> list[File]:
    """The ranges of the episodes of one file, in order; their number depends on sizes alone, so on the input alone.

    Args:
        name: of the file.
        size: its bytes.
        num_episodes: that it holds; without any, the file stays one range of none.
    """
    wanted = max(ceil(size / RANGE_BYTES), ceil(num_episodes / RANGE_EPISODES))
    ranges = max(min(wanted, num_episodes), 1)
    bounds = [number * num_episodes // ranges for number in range(ranges + 1)]
    return [File(name, size, stop - first, first) for first, stop in pairwise(bounds)]
