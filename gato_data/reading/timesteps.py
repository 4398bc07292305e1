"""Where timesteps start, read from the shards: only for episodes whose timesteps differ in length."""

import numpy as np
from numpy.typing import NDArray

from gato_data.reading.columns import RecordColumns
from gato_data.shards.episodes import EpisodeTable


class TimestepStarts:
    """Looks timesteps up by token, tokens counted through the whole mixture.

    A chunk begins with a timestep, so one record is all that is read.
    """

    def __init__(self, table: EpisodeTable, columns: RecordColumns) -> None:
        self._table, self._columns = table, columns

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
