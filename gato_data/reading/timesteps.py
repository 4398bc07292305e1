"""Where timesteps start, read from the shards: only for episodes whose timesteps differ in length."""

import numpy as np
from numpy.typing import NDArray

from gato_data.permutation import Numbers
from gato_data.reading.columns import RecordColumns
from gato_data.remote.ahead import ReadAhead
from gato_data.shards.episodes import EpisodeTable


class TimestepStarts:
    """Looks timesteps up by token, tokens counted through the whole mixture.

    A chunk begins with a timestep, so one record is all that is read.

    Args:
        table: the episodes of the mixture.
        columns: of its records.
        ahead: fetches records of shards at addresses; None where there are none.
    """

    def __init__(self, table: EpisodeTable, columns: RecordColumns, ahead: ReadAhead | None = None) -> None:
        self._table, self._columns, self._ahead = table, columns, ahead

    def expect(self, token: Numbers) -> None:
        """Let the records of many tokens be fetched side by side, before they are looked at one by one."""
        if self._ahead is not None and len(token):
            record = np.searchsorted(self._table.record_token, token, side="right") - 1
            record = np.minimum(record, len(self._table.record_token) - 2)
            self._ahead.fetch(record, np.searchsorted(self._table.shard_record, record, side="right") - 1)

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
        starts: NDArray[np.int32] = self._columns.read("timestep_starts", *self._table.place(record))
        return starts.astype(np.int64) + int(self._table.record_token[record])
