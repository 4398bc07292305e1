"""Asking the kernel for what coming batches need: the future of a stream is known, so cold reads need not wait."""

from gato_data.reading.fill import Filler, Reads
from gato_data.reading.pieces import Pieces
from gato_data.shards.episodes import EpisodeTable
from gato_data.shards.files import ShardFiles

PROBES = 8
"""Pieces of a batch that are looked for in memory before the kernel is told of all of them."""
MOST_SKIPPED = 15
"""Batches that are believed to be in memory, without a look, after enough others were."""


class CacheWarmer:
    """Tells the kernel which bytes of the shards are needed soon, where they are not in memory already.

    Args:
        table: the episodes of the mixture.
        files: its shards.
        filler: knows which bytes a piece needs.
    """

    def __init__(self, table: EpisodeTable, files: ShardFiles, filler: Filler) -> None:
        self._table, self._files, self._filler = table, files, filler
        self._skip = self._skipped = 0

    def warm(self, pieces: Pieces) -> None:
        """Start reading what these pieces need, unless some of them, spread evenly, are all in memory already."""
        if not len(pieces.row):
            return
        if self._skipped < self._skip:
            self._skipped += 1
            return
        self._skipped = 0
        if self._in_memory(pieces):
            self._skip = min(2 * self._skip + 1, MOST_SKIPPED)
            return
        self._skip = 0
        for place in self._filler.spans(Reads.of(pieces, self._table)):
            self._files.will_need(*place)

    def _in_memory(self, pieces: Pieces) -> bool:
        step = -(-len(pieces.row) // PROBES)
        some = pieces.take(slice(step // 2, None, step))
        spans = self._filler.spans(Reads.of(some, self._table))
        # The ends of a span share their pages with its neighbours, which may have been read before.
        return all(self._files.is_cached(shard, offset + size // 2) for shard, offset, size in spans)
