"""A file of many episodes as ranges of them, so that workers share it."""

from collections.abc import Container, Iterator, Sequence
from math import ceil

from gato_pipelines.containers.container import File

RANGE_BYTES = 1 << 26
"""Bytes of a range, as long as episodes are of about one size."""
RANGE_EPISODES = 1 << 14
"""Episodes of a range."""


def episode_ranges(name: str, size: int, num_episodes: int, chosen: Sequence[int] | None = None) -> list[File]:
    """The ranges of the episodes of one file, in order; their number depends on sizes alone, so on the input alone.

    Args:
        name: of the file.
        size: its bytes.
        num_episodes: that it holds; without any, the file stays one range of none.
        chosen: ordinals, ascending, of the episodes that are wanted, where that are not all: a
            range ends where one is left out.
    """
    ranges = max(min(max(ceil(size / RANGE_BYTES), ceil(num_episodes / RANGE_EPISODES)), num_episodes), 1)
    borders = {number * num_episodes // ranges for number in range(ranges)}
    runs = _runs(range(num_episodes) if chosen is None else chosen, borders)
    return [File(name, size, count, first) for first, count in runs] or [File(name, size, 0)]


def row_group_ranges(name: str, size: int, groups: Sequence[tuple[int, int]]) -> list[File]:
    """The ranges of the rows of a parquet file, an episode each, in order: runs of whole row groups.

    Args:
        name: of the file.
        size: its bytes.
        groups: rows and bytes of every row group; without any row, the file stays one range of none.
    """
    ranges: list[File] = []
    first = count = total = 0
    for rows, size_of_group in groups:
        if count and rows and (total + size_of_group > RANGE_BYTES or count + rows > RANGE_EPISODES):
            ranges.append(File(name, size, count, first))
            first, count, total = first + count, 0, 0
        count, total = count + rows, total + size_of_group
    return [*ranges, File(name, size, count, first)]


def _runs(ordinals: Sequence[int], borders: Container[int]) -> Iterator[tuple[int, int]]:
    """First and length of every run of consecutive ordinals; one begins at each border, too."""
    first = count = 0
    for ordinal in ordinals:
        if count and (ordinal != first + count or ordinal in borders):
            yield first, count
            count = 0
        first = first if count else ordinal
        count += 1
    if count:
        yield first, count
