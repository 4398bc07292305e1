"""The patches of a batch: each distinct one once, whatever window or record it comes from, and an index per slot.

Records' distinct patches are counted through the batch, record after record; the rows that its windows name are found
by flags, those of equal hash made one, and only what is left is copied.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gato_data.distinct_patches import merge
from gato_data.permutation import Numbers
from gato_data.reading.buffers import Buffers, byte_view
from gato_data.reading.columns import RecordColumns
from gato_data.reading.layouts import READ_COLUMNS, Layout
from gato_data.reading.reads import Reads
from gato_data.shards.episodes import EpisodeTable
from gato_data.shards.files import Maps, ShardFiles
from gato_schemas.patches import BLOCK_PATCHES
from gato_schemas.sequence import PATCH_BYTES

_PATCH = np.dtype(f"V{PATCH_BYTES}")
"""A whole patch as one item, so that it is copied in one go."""


@dataclass(frozen=True, slots=True, eq=False)
class _Records:
    """The R records of a batch, ascending, and what the table says of them; int64 (R,).

    Attributes:
        shard, local: each one's shard, and its number there.
        is_raw: bool (R,), whether its pixels are raw.
        index_at, hash_at, pixels_at: where they begin in the shard.
        base: (R + 1,), distinct patches of the records before it.
    """

    shard: Numbers
    local: Numbers
    is_raw: NDArray[np.bool_]
    index_at: Numbers
    hash_at: Numbers
    pixels_at: Numbers
    base: Numbers


class PatchReader:
    """Reads runs of patches.

    Args:
        table, files, columns: of the mixture.
        layouts: positions of patches repeat with them.
        width: slots of a row: no run is longer.
    """

    def __init__(
        self, table: EpisodeTable, files: ShardFiles, columns: RecordColumns, layouts: Sequence[Layout], width: int
    ) -> None:
        self._table, self._files, self._columns, self._layouts = table, files, columns, layouts
        self._is_raw = np.array([shard.manifest.patch_encoding.name == "raw" for shard in files.shards], np.bool_)
        self._patches_a_period = [max(layout.num_patches, 1) for layout in layouts]
        self._positions = [
            np.resize(np.ascontiguousarray(layout.patch_position).view("<u4"), width + layout.num_patches)
            for layout in layouts
        ]

    def read(
        self,
        runs: Reads,
        patch_index: NDArray[np.int32],
        positions: NDArray[np.uint8],
        buffers: Buffers,
        maps: Maps,
    ) -> tuple[NDArray[np.uint8], int]:
        """Fill `patch_index` (P,) and `positions` (P, 4) with the runs, one after the other.

        Returns:
            The distinct patches in `buffers`, uint8 (K, 16, 16, 3), and how many they are; in the order of records in
            the mixture, and within a record in its own.

        Raises:
            FormatError: a shard is damaged or ends early.
        """
        number = np.array(sorted(set(runs.record.tolist())))  # they are few: np.unique takes five times as long
        place = number.searchsorted(runs.record)
        records = self._records(number)
        row = self._rows(runs, place, records, maps)
        total = int(records.base[-1])
        flags = np.zeros(total, np.bool_)
        flags[row] = True
        used = np.flatnonzero(flags)
        kept, merged = merge(self._hashes(records, maps).take(used))
        new = np.empty(total, np.int32)
        new[used] = merged
        new.take(row, out=patch_index, mode="clip")  # any other mode would copy what it writes
        distinct = buffers.distinct(len(kept))
        self._copy(records, used.take(kept), distinct.reshape(-1).view(_PATCH), maps)
        self._place(runs, positions)
        return distinct, len(kept)

    def _records(self, number: Numbers) -> _Records:
        table, where = self._table, self._table.patches
        shard = np.searchsorted(table.shard_record, number, side="right") - 1
        return _Records(
            shard=shard,
            local=table.locals(number, shard),
            is_raw=self._is_raw[shard],
            index_at=where.index_at[number],
            hash_at=where.hash_at[number],
            pixels_at=where.pixels_at[number],
            base=np.concatenate([[0], np.cumsum(where.distinct[number], dtype=np.int64)]),
        )

    def _rows(self, runs: Reads, place: Numbers, records: _Records, maps: Maps) -> Numbers:
        """The patches of the runs, int64 (P,), counted through the records of the batch."""
        end = np.cumsum(runs.num_patches)
        own = np.empty(int(end[-1]), "<u2")
        begin, is_raw = end - runs.num_patches, records.is_raw[place]
        raw = np.flatnonzero(is_raw)
        offset = records.index_at[place[raw]] + 2 * runs.first_patch[raw]
        self._files.read_many(runs.shard[raw], offset, 2 * begin[raw], 2 * end[raw], byte_view(own), maps)
        inflated = np.flatnonzero(~is_raw)
        record = place[inflated]
        places = (runs.shard[inflated], records.local[record], records.index_at[record])
        slices = (runs.first_patch[inflated], runs.num_patches[inflated], begin[inflated])
        for shard, local, at, first, count, to in zip(*(column.tolist() for column in (*places, *slices)), strict=True):
            column = self._columns.read_at("patch_index", shard, local, at).view("<u2")
            own[to : to + count] = column[first : first + count]
        row = np.repeat(records.base[place], runs.num_patches)
        row += own
        return row

    def _hashes(self, records: _Records, maps: Maps) -> NDArray[np.uint64]:
        """The hashes of all distinct patches of the records."""
        hashes = np.empty(records.base[-1], "<u8")
        at = 8 * records.base
        self._files.read_many(records.shard, records.hash_at, at[:-1], at[1:], byte_view(hashes), maps)
        return hashes

    def _copy(self, records: _Records, row: Numbers, out: NDArray[np.void], maps: Maps) -> None:
        """Copy the pixels of rows (D,), counted through the records, ascending, into the first of `out` (K,)."""
        bounds = row.searchsorted(records.base)
        row = row - np.repeat(records.base[:-1], np.diff(bounds))
        some = np.flatnonzero(bounds[1:] > bounds[:-1])
        begin, end = bounds[some], bounds[some + 1]
        places = (records.shard[some], records.local[some], records.is_raw[some], records.pixels_at[some])
        columns = (*places, begin, end, row[begin], row[end - 1] + 1)
        for shard, local, is_raw, at, begin, end, first, stop in zip(*(c.tolist() for c in columns), strict=True):
            rows, pixels = row[begin:end], out[begin:end]
            if not is_raw:
                self._inflate(shard, local, at, rows, pixels)
            elif (mapped := maps[shard]) is not None:
                _take(np.frombuffer(mapped, _PATCH, stop, at), rows, pixels)
            else:
                part = np.empty(stop - first, _PATCH)
                self._files.read(shard, at + first * PATCH_BYTES, byte_view(part))
                _take(part, rows - first, pixels)

    def _inflate(self, shard: int, local: int, at: int, rows: Numbers, out: NDArray[np.void]) -> None:
        first, last = int(rows[0]) // BLOCK_PATCHES, int(rows[-1]) // BLOCK_PATCHES
        ends = rows.searchsorted(np.arange(first + 1, last + 2) * BLOCK_PATCHES).tolist()
        parts = [part for part in zip(range(first, last + 1), [0, *ends], ends, strict=False) if part[1] < part[2]]
        blocks = self._columns.read_blocks(shard, local, at, [number for number, _, _ in parts])
        for (number, begin, end), pixels in zip(parts, blocks, strict=True):
            _take(pixels.view(_PATCH), rows[begin:end] - number * BLOCK_PATCHES, out[begin:end])

    def _place(self, runs: Reads, out: NDArray[np.uint8]) -> None:
        """Fill `out` (P, 4) with the positions of the patches of the runs."""
        whole = out.view("<u4")[:, 0]
        at = 0
        columns = (runs.layout, runs.first_patch, runs.num_patches)
        for number, (layout, begin, count) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
            if layout != READ_COLUMNS:
                column, begin = self._positions[layout], begin % self._patches_a_period[layout]
            else:
                shard, record = int(runs.shard[number]), int(runs.record[number])
                column = self._columns.read("patch_position", shard, self._table.local(record, shard)).view("<u4")[:, 0]
            whole[at : at + count] = column[begin : begin + count]
            at += count


def _take(pixels: NDArray[np.void], rows: Numbers, out: NDArray[np.void]) -> None:
    """Copy rows that are known to be there: any other mode would copy them twice."""
    pixels.take(rows, out=out, mode="clip")
