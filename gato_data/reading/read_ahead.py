"""Asking the kernel for what coming batches need: the future of a stream is known, so cold reads need not wait."""

import numpy as np

from gato_data.reading.episodes import EpisodeTable
from gato_data.reading.fill import Filler, Reads
from gato_data.reading.pieces import Pieces
from gato_data.reading.shards import ShardFiles


class ReadAhead:
    """Tells the kernel which bytes of the shards are needed soon, where they are not in memory already.

    Args:
        table: the episodes of the mixture.
        files: its shards.
        filler: knows which bytes a piece needs.
        token_bytes: 2 or 4.
    """

    def __init__(self, table: EpisodeTable, files: ShardFiles, filler: Filler, token_bytes: int) -> None:
        self._table, self._files, self._filler, self._token_bytes = table, files, filler, token_bytes
        self._turn = 0

    def announce(self, pieces: Pieces) -> None:
        """Start reading what these pieces need, unless one of them, another each time, is in memory already."""
        count = len(pieces.row)
        if not count:
            return
        self._turn = (self._turn + 1) % count
        token = int(pieces.token[self._turn])
        record = int(np.searchsorted(self._table.record_token, token, side="right")) - 1
        shard = int(np.searchsorted(self._table.shard_record, record, side="right")) - 1
        within = (token - int(self._table.record_token[record])) * self._token_bytes
        if self._files.is_cached(shard, int(self._table.tokens_at[record]) + within):
            return
        for place in self._filler.spans(Reads.of(pieces, self._table)):
            self._files.will_need(*place)
