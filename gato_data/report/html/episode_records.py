"""The records of one episode in its shard: which of them has which timesteps of the episode."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gato_schemas.index import ShardIndex


@dataclass(frozen=True, slots=True)
class EpisodeRecords:
    """Where an episode is: its shard, the shard's index, and the records of its chunks."""

    path: Path
    found: ShardIndex
    records: range

    @classmethod
    def of(cls, path: Path, found: ShardIndex, first: int) -> "EpisodeRecords":
        """The episode that begins with record `first`."""
        chunks = np.flatnonzero(found.chunk[first + 1 :] == 0)
        end = first + 1 + int(chunks[0]) if len(chunks) else len(found)
        return cls(path, found, range(first, end))

    def sum(self, column: str) -> int:
        """Sum of a column of the index over the records."""
        values = self.found.arrays[column][self.records.start : self.records.stop]
        return int(values.sum(dtype=np.int64))

    def spread(self, limit: int) -> NDArray[np.int64]:
        """At most `limit` timesteps of the episode, spread evenly over it, ascending."""
        total = self.sum("num_timesteps")
        places = np.linspace(0, max(total - 1, 0), min(limit, total))
        return np.unique(places.round().astype(np.int64))

    def split(self, timesteps: NDArray[np.int64]) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
        """Number and first timestep of every record with any of the timesteps; which, counted from it."""
        first = 0
        for number in self.records:
            end = first + int(self.found.num_timesteps[number])
            here = timesteps[(timesteps >= first) & (timesteps < end)] - first
            if len(here):
                yield number, first, here
            first = end
