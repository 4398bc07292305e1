"""Asking the kernel for what coming batches need: the future of a stream is known, so cold reads need not wait."""

from collections.abc import Iterator

import numpy as np

from gato_data.reading.layouts import READ_COLUMNS
from gato_data.reading.reads import Reads
from gato_data.shards.episodes import EpisodeTable
from gato_data.shards.files import ShardFiles
from gato_schemas.index import ShardIndex

PROBES = 8
"""Reads of a batch that are looked for in memory before the kernel is told of all of them."""
BACKGROUND_PATCHES = 64
"""Distinct patches at the beginning of a record that windows anywhere in it need; and how uneven the others come."""
FEW_PATCHES = 1024
"""Distinct patches of a record that are fetched all, if compressed."""
MOST_SKIPPED = 15
"""Batches that are believed to be in memory, without a look, after enough others were."""


class CacheWarmer:
    """Tells the kernel which bytes of the shards are needed soon, where they are not in memory already.

    Args:
        table: the episodes of the mixture.
        files: its shards.
        token_bytes: 2 or 4.
    """

    def __init__(self, table: EpisodeTable, files: ShardFiles, token_bytes: int) -> None:
        self._table, self._files, self._token_bytes = table, files, token_bytes
        self._skip = self._skipped = 0

    def warm(self, reads: Reads) -> None:
        """Start reading what these reads need, unless some of them, spread evenly, are all in memory already."""
        if not len(reads.row):
            return
        if self._skipped < self._skip:
            self._skipped += 1
            return
        self._skipped = 0
        if self._in_memory(reads):
            self._skip = min(2 * self._skip + 1, MOST_SKIPPED)
            return
        self._skip = 0
        for place in self._spans(reads):
            self._files.will_need(*place)

    def _in_memory(self, reads: Reads) -> bool:
        step = -(-len(reads.row) // PROBES)
        spans = self._spans(reads.take(slice(step // 2, None, step)))
        # The ends of a span share their pages with its neighbours, which may have been read before.
        return all(self._files.is_cached(shard, offset + size // 2) for shard, offset, size in spans)

    def _spans(self, reads: Reads) -> Iterator[tuple[int, int, int]]:
        """Shard, offset and size of what the reads need, as far as that can be told without reading."""
        table = self._table
        stored = table.tokens_stored[reads.record]
        byte = table.tokens_at[reads.record] + reads.offset * self._token_bytes * stored
        size = reads.length * self._token_bytes
        has_patches = table.patches.distinct[reads.record] > 0 if len(table.patches.distinct) else np.zeros_like(stored)
        read_columns = reads.layout == READ_COLUMNS
        plain = stored & ~has_patches & ~read_columns
        yield from zip(reads.shard[plain].tolist(), byte[plain].tolist(), size[plain].tolist(), strict=True)
        for number in np.flatnonzero(~plain).tolist():
            shard, record = int(reads.shard[number]), int(reads.record[number])
            index, local = self._files.index(shard), table.local(record, shard)
            names = ["modality", "loss_mask", "position"] if read_columns[number] else []
            if stored[number]:
                yield shard, int(byte[number]), int(size[number])
            else:
                names.append("tokens")
            if has_patches[number]:
                names += ["patch_hash", "patch_index"]
            yield from ((shard, *index.payload(local, name)) for name in names)
            if has_patches[number]:
                share = int(reads.offset[number]), int(reads.offset[number] + reads.length[number])
                yield from ((shard, *index.pixels(local, *rows)) for rows in _likely_rows(index, local, *share))


def _likely_rows(index: ShardIndex, record: int, first: int, stop: int) -> list[tuple[int, int]]:
    """First and number of the distinct patches that tokens [first, stop) of a record probably need, in runs.

    Those that appear first within them, if they come as evenly as may be expected, and those at the beginning, of the
    background; all where that is not much.
    """
    distinct, tokens = int(index.num_distinct[record]), int(index.num_tokens[record])
    if index.header.patch_encoding == "zlib" and distinct <= FEW_PATCHES:
        return [(0, distinct)]
    begin = distinct * first // tokens - BACKGROUND_PATCHES
    end = min(distinct, -(-distinct * stop // tokens) + BACKGROUND_PATCHES)
    if begin <= BACKGROUND_PATCHES:
        return [(0, end)]
    return [(0, BACKGROUND_PATCHES), (begin, end - begin)]
