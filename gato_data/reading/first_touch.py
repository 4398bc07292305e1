"""Every record, once, when something of it is read for the first time: is it what its index says?"""

import numpy as np

from gato_data.permutation import Numbers
from gato_data.reading.columns import RecordColumns
from gato_data.shards.episodes import EpisodeTable
from gato_data.shards.files import ShardFiles


class FirstTouch:
    """Remembers which records of a mixture were checked: one byte each. Safe to use from several threads.

    What is read in place is checked here, what is inflated when it is inflated.

    Args:
        table, files, columns: of the mixture.
        check_data: compare each record with its checksum too.
    """

    def __init__(self, table: EpisodeTable, files: ShardFiles, columns: RecordColumns, *, check_data: bool) -> None:
        self._table, self._files, self._columns, self._check_data = table, files, columns, check_data
        self._checked = np.zeros(int(table.shard_record[-1]), np.bool_)

    def check(self, record: Numbers, shard: Numbers) -> None:
        """Check those of the records that were not read before; int64 (N,), both counted through the whole mixture.

        Raises:
            FormatError: one does not match its checksum, or has other columns; the message names it.
        """
        fresh = np.flatnonzero(~self._checked[record])
        for number in fresh.tolist():
            one = int(record[number])
            if not self._checked[one]:
                self._check(one, int(shard[number]))
                self._checked[one] = True

    def _check(self, record: int, shard: int) -> None:
        local = self._table.local(record, shard)
        if self._check_data:
            self._files.check_data(shard, local)  # its patch_index with the rest
        else:
            self._columns.check_plain_index(shard, local)
        if self._table.tokens_stored[record]:
            self._files.check_head(shard, local)
