"""Where timesteps start, read from the shards: only for episodes whose timesteps differ in length."""

import numpy as np
from numpy.typing import NDArray

from gato_data.shards.episodes import EpisodeTable
from gato_data.shards.files import ShardFiles


class TimestepStarts:
    """Looks timesteps up by token, tokens counted through the whole mixture.

    A chunk begins with a timestep, so one record is all that is read; the last one is kept.
    """

    def __init__(self, table: EpisodeTable, files: ShardFiles) -> None:
        self._table, self._files = table, files
        self._kept: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def at_or_before(self, token: int) -> int:
        """First token of the timestep that holds `token`."""
        starts = self._of_record(token)
        return int(starts[max(int(np.searchsorted(starts, token, side="right")) - 1, 0)])

    def at_or_after(self, token: int) -> int:
        """First token of the first timestep that starts at `token` or later; the record's end if there is none."""
        starts = self._of_record(token)
        place = int(np.searchsorted(starts, token, side="left"))
        return int(starts[place]) if place < len(starts) else self._end(token)

    def _end(self, token: int) -> int:
        return int(self._table.record_token[self._record(token) + 1])

    def _record(self, token: int) -> int:
        return int(np.searchsorted(self._table.record_token, token, side="right")) - 1

    def _of_record(self, token: int) -> NDArray[np.int64]:
        record = self._record(token)
        kept, starts = self._kept
        if kept != record:
            starts = self._read(record)
            self._kept = (record, starts)
        return starts

    def _read(self, record: int) -> NDArray[np.int64]:
        shard, local = self._table.place(record)
        index = self._files.index(shard)
        offset = index.payload(local, "timestep_starts")
        count, tokens = int(index.num_timesteps[local]), int(index.num_tokens[local])
        if count > tokens:
            raise self._files.error(shard, offset, f"has {count} timesteps for {tokens} tokens")
        buffer = bytearray(4 * count)
        self._files.read(shard, offset, memoryview(buffer))
        starts = np.frombuffer(buffer, "<i4").astype(np.int64)
        if not count or starts[0] or (np.diff(starts) < 0).any() or starts[-1] > tokens:
            raise self._files.error(shard, offset, "has timesteps out of order")
        return starts + int(self._table.record_token[record])
