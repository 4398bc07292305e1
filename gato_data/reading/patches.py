"""Pixels and positions of patches, read into a batch: raw ones in place, zlib blocks inflated."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gato_data.permutation import Numbers
from gato_data.reading.buffers import byte_view
from gato_data.reading.layouts import READ_COLUMNS, Layout
from gato_data.shards.episodes import EpisodeTable
from gato_data.shards.files import ShardFiles
from gato_schemas.compression import inflate_block
from gato_schemas.errors import FormatError
from gato_schemas.index import ShardIndex
from gato_schemas.patches import BLOCK_BYTES, BLOCK_PATCHES, copy_patches
from gato_schemas.sequence import PATCH_BYTES


@dataclass(frozen=True, slots=True)
class PatchRun:
    """`count` patches from number `first` on of one record; `layout` says where their positions come from."""

    shard: int
    record: int
    first: int
    count: int
    layout: int


def layout_runs(
    layouts: Sequence[Layout],
    layout: NDArray[np.int32],
    shard: Numbers,
    record: Numbers,
    offset: Numbers,
    length: Numbers,
) -> dict[int, PatchRun]:
    """The patches of reads whose layout is known and has some, by the number of the read; (N,) each."""
    runs = {}
    for one in np.unique(layout).tolist():
        if one == READ_COLUMNS or not layouts[one].num_patches:
            continue
        where = np.flatnonzero(layout == one)
        first = layouts[one].patches_until(offset[where])
        count = layouts[one].patches_until(offset[where] + length[where]) - first
        columns = (where, shard[where], record[where], first, count)
        for number, in_shard, in_record, start, size in zip(*(column.tolist() for column in columns), strict=True):
            runs[number] = PatchRun(in_shard, in_record, start, size, one)
    return runs


class PatchReader:
    """Reads runs of patches.

    Args:
        table, files: of the mixture.
        layouts: positions of patches repeat with them.
        width: slots of a row: no run is longer.
    """

    def __init__(self, table: EpisodeTable, files: ShardFiles, layouts: Sequence[Layout], width: int) -> None:
        self._table, self._files, self._layouts = table, files, layouts
        self._positions = [
            np.resize(layout.patch_position, (width + layout.num_patches, 4)) if layout.num_patches else None
            for layout in layouts
        ]

    def read(self, runs: Sequence[PatchRun], patches: NDArray[np.uint8], positions: NDArray[np.uint8]) -> None:
        """Fill `patches` (P, 16, 16, 3) and `positions` (P, 4) with the runs, one after the other.

        Raises:
            FormatError: a shard is damaged or ends early.
        """
        pixels = patches.reshape(-1)
        at = 0
        for run in runs:
            index = self._files.index(run.shard)
            local = self._table.local(run.record, run.shard)
            out = pixels[at * PATCH_BYTES : (at + run.count) * PATCH_BYTES]
            if index.header.patch_encoding == "raw":
                self._files.read_large(run.shard, index.pixels(local, run.first, run.count)[0], out)
            else:
                self._inflate(run, index, local, out.data)
            self._place(run, index, local, positions[at : at + run.count])
            at += run.count

    def span(self, run: PatchRun) -> tuple[int, int, int]:
        """Shard, offset and size of the bytes that hold a run of patches."""
        index = self._files.index(run.shard)
        return run.shard, *index.pixels(self._table.local(run.record, run.shard), run.first, run.count)

    def _inflate(self, run: PatchRun, index: ShardIndex, local: int, out: memoryview) -> None:
        first, last = run.first // BLOCK_PATCHES, (run.first + run.count - 1) // BLOCK_PATCHES
        blocks, base = index.blocks_of(local), int(index.offset[local])
        if last >= len(blocks):
            raise self._files.error(run.shard, base, f"has no block {last} of patches")
        start, size = index.pixels(local, run.first, run.count)
        compressed = memoryview(bytearray(size))
        self._files.read(run.shard, start, compressed)

        def inflated() -> Iterator[memoryview]:
            for offset, length in blocks[first : last + 1].tolist():
                at = base + offset - start
                try:
                    yield memoryview(inflate_block(compressed[at : at + length], BLOCK_BYTES))
                except FormatError as error:
                    raise self._files.error(run.shard, base + offset, f"is damaged here: {error}") from error

        copy_patches(inflated(), run.first % BLOCK_PATCHES, out)

    def _place(self, run: PatchRun, index: ShardIndex, local: int, out: NDArray[np.uint8]) -> None:
        tile = self._positions[run.layout] if run.layout != READ_COLUMNS else None
        if tile is None:
            start = index.payload(local, "patch_position")
            self._files.read(run.shard, start + 4 * run.first, byte_view(out))
            return
        phase = run.first % self._layouts[run.layout].num_patches
        out[...] = tile[phase : phase + run.count]
