"""Every record against its checksum, once: when something of it is read for the first time."""

import numpy as np

from gato_data.permutation import Numbers
from gato_data.shards.episodes import EpisodeTable
from gato_data.shards.files import ShardFiles


class FirstTouch:
    """Remembers which records of a mixture were checked: one byte each. Safe to use from several threads.

    Args:
        table, files: of the mixture.
    """

    def __init__(self, table: EpisodeTable, files: ShardFiles) -> None:
        self._table, self._files = table, files
        self._checked = np.zeros(int(table.shard_record[-1]), np.bool_)

    def check(self, record: Numbers, shard: Numbers) -> None:
        """Check those of the records that were not read before; int64 (N,), both counted through the whole mixture.

        Raises:
            FormatError: one does not match its checksum; the message names it.
        """
        fresh = np.flatnonzero(~self._checked[record])
        for number in fresh.tolist():
            one, in_shard = int(record[number]), int(shard[number])
            if not self._checked[one]:
                self._files.check_data(in_shard, self._table.local(one, in_shard))
                self._checked[one] = True
