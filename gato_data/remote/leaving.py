"""Which record leaves a cache first: what is needed last, since that is known."""

import heapq
from collections import deque
from typing import TypeAlias

Record: TypeAlias = tuple[int, int]
"""Number of a file of the cache, and of a record in it."""
_Rank: TypeAlias = tuple[int, int]
"""What goes first has the smallest: records that nobody is known to need, the one used last before the others, since
an epoch comes to it last; then those that are needed last."""


class Leaving:
    """The records that are there, and in which order they go; not safe to use from several threads."""

    def __init__(self) -> None:
        self._uses: dict[Record, deque[int]] = {}
        self._rank: dict[Record, _Rank] = {}
        self._heap: list[tuple[_Rank, Record]] = []
        self._touched = 0

    def __contains__(self, record: Record) -> bool:
        return record in self._rank

    def expect(self, record: Record, time: int) -> None:
        """Note that a record will be needed at a time; later than what was noted of it before."""
        times = self._uses.setdefault(record, deque())
        times.append(time)
        if len(times) == 1 and record in self._rank:
            self.add(record)

    def used(self, record: Record, time: int) -> None:
        """Note that it was used, or will not be."""
        times = self._uses[record]
        times.remove(time)
        if not times:
            del self._uses[record]
        if record in self._rank:
            self.add(record)

    def add(self, record: Record) -> None:
        """Give a record that is there its place."""
        times = self._uses.get(record)
        self._touched += 1
        self._rank[record] = rank = (1, -times[0]) if times else (0, -self._touched)
        heapq.heappush(self._heap, (rank, record))
        if len(self._heap) > 4 * len(self._rank) + 1024:
            self._heap = [(rank, record) for record, rank in self._rank.items()]
            heapq.heapify(self._heap)

    def remove(self, record: Record) -> None:
        """A record is not there any more."""
        del self._rank[record]

    def first(self) -> Record | None:
        """The record that goes first; None where none is there."""
        while self._heap:
            rank, record = self._heap[0]
            if self._rank.get(record) == rank:
                return record
            heapq.heappop(self._heap)
        return None
