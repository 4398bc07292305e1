"""The patches of a batch: each distinct one once, whatever window or record it comes from, and an index per slot.

Records' distinct patches are counted through the batch, record after record; the rows that its windows name are found
by flags, those of equal hash made one, and only what is left is copied.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gato_data.distinct_patches import merge
from gato_data.permutation import Numbers
from gato_data.reading.buffers import Buffers
from gato_data.reading.columns import RecordColumns
from gato_data.reading.layouts import READ_COLUMNS, Layout
from gato_data.reading.reads import Reads
from gato_data.shards.episodes import EpisodeTable
from gato_data.shards.files import Maps, ShardFiles
from gato_schemas.patches import BLOCK_PATCHES
from gato_schemas.sequence import PATCH_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class PatchRuns:
    """The patches of N reads: `count` from number `first` on of a record, whose positions come from a layout.

    Attributes:
        shard, record, first, count: int64 (N,), records counted through the mixture.
        layout: int32 (N,), or `READ_COLUMNS`.
    """

    shard: Numbers
    record: Numbers
    first: Numbers
    count: Numbers
    layout: NDArray[np.int32]

    @classmethod
    def of(cls, layouts: Sequence[Layout], layout: NDArray[np.int32], reads: Reads) -> "PatchRuns":
        """Of all reads, in order; no patches yet where the layout is not known."""
        runs = cls(reads.shard, reads.record, np.zeros_like(reads.offset), np.zeros_like(reads.offset), layout)
        for one in np.unique(layout).tolist():
            if one != READ_COLUMNS and layouts[one].num_patches:
                where = np.flatnonzero(layout == one)
                first = layouts[one].patches_until(reads.offset[where])
                runs.first[where] = first
                runs.count[where] = layouts[one].patches_until(reads.offset[where] + reads.length[where]) - first
        return runs

    def some(self) -> "PatchRuns":
        """Those that have patches."""
        at = np.flatnonzero(self.count)
        return PatchRuns(self.shard[at], self.record[at], self.first[at], self.count[at], self.layout[at])


@dataclass(frozen=True, slots=True, eq=False)
class _Records:
    """The records of a batch, ascending, and what is asked of the table about them; lists of R.

    Attributes:
        shard, local: each one's shard, and its number there.
        patches, distinct: how many it has.
        index_at, hash_at, pixels_at: where they begin in the shard.
        is_raw: whether its pixels are raw.
        maps: of shards, where raw ones are read in place.
    """

    shard: list[int]
    local: list[int]
    patches: list[int]
    distinct: list[int]
    index_at: list[int]
    hash_at: list[int]
    pixels_at: list[int]
    is_raw: list[bool]
    maps: Maps

    def mapped(self, number: int) -> memoryview | None:
        """The shard of a record, where it is read in place; to be let go of before the next one is asked for."""
        return self.maps[self.shard[number]] if self.is_raw[number] else None


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
        self._is_raw = [shard.manifest.patch_encoding.name == "raw" for shard in files.shards]
        self._positions = [
            np.resize(layout.patch_position, (width + layout.num_patches, 4)) if layout.num_patches else None
            for layout in layouts
        ]

    def read(
        self, runs: PatchRuns, patch_index: NDArray[np.int32], positions: NDArray[np.uint8], buffers: Buffers
    ) -> tuple[NDArray[np.uint8], int]:
        """Fill `patch_index` (P,) and `positions` (P, 4) with the runs, one after the other.

        Returns:
            The distinct patches in `buffers`, uint8 (K, 16, 16, 3), and how many they are; in the order of records in
            the mixture, and within a record in its own.

        Raises:
            FormatError: a shard is damaged or ends early.
        """
        number, place = np.unique(runs.record, return_inverse=True)
        records = self._records(number)
        base = np.concatenate([[0], np.cumsum(records.distinct)])
        self._name_rows(runs, place, records, base, patch_index)
        used = _used(patch_index, int(base[-1]))
        bounds = np.searchsorted(used, base)
        row = used - np.repeat(base[:-1], np.diff(bounds))
        kept, merged = merge(self._hashes(records, row, bounds))
        new = np.empty(int(base[-1]), np.int32)
        new[used] = merged
        np.take(new, patch_index, out=patch_index, mode="clip")
        distinct = buffers.distinct(len(kept))
        self._copy(records, row[kept], np.searchsorted(kept, bounds), distinct.reshape(-1, PATCH_BYTES))
        self._place(runs, positions)
        return distinct, len(kept)

    def _records(self, number: Numbers) -> _Records:
        table, where = self._table, self._table.patches
        shards = np.searchsorted(table.shard_record, number, side="right") - 1
        shard = shards.tolist()
        return _Records(
            shard=shard,
            local=(number - table.shard_record[shards]).tolist(),
            patches=where.patches[number].tolist(),
            distinct=where.distinct[number].tolist(),
            index_at=where.index_at[number].tolist(),
            hash_at=where.hash_at[number].tolist(),
            pixels_at=where.pixels_at[number].tolist(),
            is_raw=[self._is_raw[one] for one in shard],
            maps=Maps(self._files),
        )

    def _name_rows(
        self, runs: PatchRuns, place: Numbers, records: _Records, base: Numbers, out: NDArray[np.int32]
    ) -> None:
        """Fill `out` (P,) with the patches of the runs, counted through the records of the batch."""
        at = 0
        for number, first, count in zip(place.tolist(), runs.first.tolist(), runs.count.tolist(), strict=True):
            column = self._column(
                records, number, "patch_index", records.index_at[number], records.patches[number], "<u2"
            )
            out[at : at + count] = column[first : first + count]
            at += count
        out += np.repeat(base[place].astype(np.int32), runs.count)

    def _hashes(self, records: _Records, row: Numbers, bounds: Numbers) -> NDArray[np.uint64]:
        """The hashes of rows (N,), of which [bounds[n], bounds[n + 1]) are of record n."""
        hashes = np.empty(len(row), np.uint64)
        for number, (at, begin, end) in enumerate(zip(records.hash_at, *_pairs(bounds), strict=True)):
            column = self._column(records, number, "patch_hash", at, records.distinct[number], "<u8")
            np.take(column, row[begin:end], out=hashes[begin:end], mode="clip")
        return hashes

    def _copy(self, records: _Records, row: Numbers, bounds: Numbers, out: NDArray[np.uint8]) -> None:
        """Copy the pixels of rows into `out` (K, 768); rows [bounds[n], bounds[n + 1]) are of record n."""
        for number, (begin, end) in enumerate(zip(*_pairs(bounds), strict=True)):
            if begin == end:
                continue
            rows, pixels = row[begin:end], out[begin:end]
            shard, at = records.shard[number], records.pixels_at[number]
            mapped = records.mapped(number)
            if mapped is not None:
                _take(np.frombuffer(mapped, np.uint8, records.distinct[number] * PATCH_BYTES, at), rows, pixels)
            elif records.is_raw[number]:
                first = int(rows[0])
                part = np.empty((int(rows[-1]) + 1 - first) * PATCH_BYTES, np.uint8)
                self._files.read(shard, at + first * PATCH_BYTES, part.data)
                _take(part, rows - first, pixels)
            else:
                self._inflate(shard, records.local[number], at, rows, pixels)

    def _inflate(self, shard: int, local: int, at: int, rows: Numbers, out: NDArray[np.uint8]) -> None:
        block = rows // BLOCK_PATCHES
        begins = np.flatnonzero(np.diff(block, prepend=-1))
        numbers = block[begins].tolist()
        blocks = self._columns.read_blocks(shard, local, at, numbers)
        bounds = [*begins.tolist(), len(rows)]
        for number, pixels, begin, end in zip(numbers, blocks, bounds[:-1], bounds[1:], strict=True):
            _take(pixels, rows[begin:end] - number * BLOCK_PATCHES, out[begin:end])

    def _column(self, records: _Records, number: int, name: str, at: int, rows: int, dtype: DTypeLike) -> NDArray[Any]:
        mapped = records.mapped(number)
        if mapped is not None:
            return np.frombuffer(mapped, dtype, rows, at)
        return self._columns.read_at(name, records.shard[number], records.local[number], at).view(dtype)

    def _place(self, runs: PatchRuns, out: NDArray[np.uint8]) -> None:
        """Fill `out` (P, 4) with the positions of the patches of the runs."""
        columns = (runs.shard, runs.record, runs.first, runs.count, runs.layout)
        at = 0
        for shard, record, first, count, layout in zip(*(column.tolist() for column in columns), strict=True):
            tile = self._positions[layout] if layout != READ_COLUMNS else None
            if tile is None:
                column = self._columns.read("patch_position", shard, self._table.local(record, shard))
                out[at : at + count] = column[first : first + count]
            else:
                phase = first % self._layouts[layout].num_patches
                out[at : at + count] = tile[phase : phase + count]
            at += count


def _used(rows: NDArray[np.int32], total: int) -> Numbers:
    """Which of `total` rows are named, ascending."""
    flags = np.zeros(total, np.bool_)
    flags[rows] = True
    return np.flatnonzero(flags)


def _pairs(bounds: Numbers) -> tuple[list[int], list[int]]:
    return bounds[:-1].tolist(), bounds[1:].tolist()


def _take(pixels: NDArray[np.uint8], rows: Numbers, out: NDArray[np.uint8]) -> None:
    """Copy rows of 768 bytes; they are known to be there, and any other mode would copy them twice."""
    np.take(pixels.reshape(-1, PATCH_BYTES), rows, axis=0, out=out, mode="clip")
