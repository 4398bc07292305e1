"""Asking the kernel for what coming batches need: the future of a stream is known, so cold reads need not wait."""

import numpy as np

from gato_data.episodes import EpisodeTable
from gato_data.fill import Filler, Reads
from gato_data.pieces import Pieces
from gato_data.shards import ShardFiles

_PROBES = 4


class ReadAhead:
    """Tells the kernel which bytes of the shards are needed soon, where they are not in memory already.

    Args:
        table: the episodes of the mixture.
        files: its shards.
        filler: knows which bytes a piece needs.
    """

    def __init__(self, table: EpisodeTable, files: ShardFiles, filler: Filler) -> None:
        self._table, self._files, self._filler = table, files, filler

    def announce(self, pieces: Pieces) -> None:
        """Start reading what these pieces need, unless a few of them are already in memory."""
        if not len(pieces.row):
            return
        reads = Reads.of(pieces, self._table)
        at = np.linspace(0, len(reads.row) - 1, _PROBES).astype(int)
        byte = self._table.tokens_at[reads.record[at]]
        probes = zip(reads.shard[at].tolist(), byte.tolist(), strict=True)
        if all(self._files.is_cached(shard, offset) for shard, offset in probes):
            return
        for shard, offset, size in self._filler.spans(reads):
            self._files.will_need(shard, offset, size)
