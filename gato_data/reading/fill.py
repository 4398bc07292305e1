"""Pieces -> a batch: copies from maps, positioned reads and inflated columns into its rows; no record is parsed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.reading.batch import Batch
from gato_data.reading.buffers import Buffers, byte_view, places_of
from gato_data.reading.columns import RecordColumns
from gato_data.reading.first_touch import FirstTouch
from gato_data.reading.history import put_segments
from gato_data.reading.layouts import READ_COLUMNS, FinishedRows, RecordLayouts
from gato_data.reading.patches import PatchReader
from gato_data.reading.pieces import Pieces
from gato_data.reading.plan import BatchPlan
from gato_data.reading.reads import Reads
from gato_data.shards.episodes import EpisodeTable
from gato_data.shards.files import Maps, ShardFiles
from gato_schemas.sequence import Modality

_PATCH = int(Modality.PATCH)  # numpy compares bytes with a plain int ten times faster than with an enum


class Filler:
    """Fills batches; one for a mixture, used by several threads at once with buffers of their own.

    Args:
        table: the episodes of the mixture.
        files, columns: its shards, and the columns of their records.
        layouts: of the records.
        width: slots of a row, context length + 1.
        token_dtype: of ids in the shards.
        with_segments: whether episodes are packed.
        limit: most earlier timesteps that one sees, of each dataset; None where all see all.
        check_data: compare every record with its checksum when it is first read.
    """

    def __init__(
        self,
        table: EpisodeTable,
        files: ShardFiles,
        columns: RecordColumns,
        layouts: RecordLayouts,
        *,
        width: int,
        token_dtype: np.dtype[Any],
        with_segments: bool,
        limit: NDArray[np.int64] | None,
        check_data: bool,
    ) -> None:
        self._table, self._files = table, files
        self._record_columns, self._token_dtype, self._token_bytes = columns, token_dtype, token_dtype.itemsize
        self._width, self._with_segments, self._limit = width, with_segments, limit
        self._with_patches = any(layout.num_patches for layout in layouts.layouts)
        self._all_stored = bool(table.tokens_stored.all())
        self._finished = FinishedRows(layouts, width)
        self._patches = PatchReader(table, files, columns, layouts.layouts, width)
        self._first_touch = FirstTouch(table, files, columns, check_data=check_data)

    def fill(self, plan: BatchPlan, buffers: Buffers) -> Batch:
        """Read one batch into `buffers`; it is made of views of them.

        Raises:
            FormatError: a shard is missing or damaged; the message names file, record and byte.
        """
        rows, pieces, reads = len(plan.sample), plan.pieces, plan.reads
        self._first_touch.check(reads.record, reads.shard)
        tokens, mask, modality = buffers.tokens[:rows], buffers.loss_mask[:rows], buffers.modality[:rows]
        runs = self._columns(plan, buffers)
        maps = Maps(self._files)
        self._raw_tokens(reads, buffers, rows, maps)
        self._leave_untrained(pieces, mask)
        segment = self._segments(plan, mask, buffers) if self._with_segments or self._limit is not None else None
        length = np.zeros(rows, np.int32)
        length[pieces.row] = pieces.slot + pieces.length  # of several pieces in a row the last one counts
        patch_index, patch_position = buffers.patches(int(runs.num_patches.sum()) if runs else 0)
        if runs and len(patch_index):
            distinct, num_distinct = self._patches.read(runs, patch_index, patch_position, buffers, maps)
            is_patch = modality == _PATCH
            np.multiply(buffers.raw_tokens[:rows], ~is_patch, out=tokens)  # faster than to write to some alone
            patch_slot = places_of(is_patch, buffers.patch_slot)
        else:
            np.copyto(tokens, buffers.raw_tokens[:rows])
            patch_slot, distinct, num_distinct = buffers.patch_slot[:0], buffers.distinct(0), 0
        return Batch(
            tokens=tokens,
            loss_mask=mask,
            modality=modality,
            position=buffers.position[:rows],
            distinct_patches=distinct,
            num_distinct=num_distinct,
            patch_index=patch_index,
            patch_position=patch_position,
            patch_slot=patch_slot,
            supervised_slot=places_of(mask.view(np.bool_)[:, 1:], buffers.supervised_slot),
            length=length,
            dataset=plan.dataset.astype(np.int32),
            sample=plan.sample,
            piece_slot=pieces.row * self._width + pieces.slot,
            segment=segment,
        )

    def _segments(self, plan: BatchPlan, mask: NDArray[np.uint8], buffers: Buffers) -> NDArray[np.int32]:
        rows = len(plan.sample)
        segment = _packed(plan.pieces, buffers.segment[:rows])
        if self._limit is not None:
            begins = plan.pieces.row, plan.pieces.slot
            put_segments(segment, mask, buffers.position[:rows], begins, self._limit[plan.dataset])
        return segment

    def _raw_tokens(self, reads: Reads, buffers: Buffers, rows: int, maps: Maps) -> None:
        """What stands in the column of tokens, from where they stand in their shards or from what was inflated."""
        item = self._token_bytes
        buffers.raw_tokens[:rows] = 0
        at = self._table.tokens_at[reads.record]
        place = (reads.row * self._width + reads.slot) * item
        columns = [reads.shard, at + reads.offset * item, place, place + reads.length * item]
        stored = np.ones(0, np.bool_) if self._all_stored else self._table.tokens_stored[reads.record]
        if not stored.all():
            columns = [column[stored] for column in columns]
        shards, offsets, begins, ends = columns
        self._files.read_many(shards, offsets, begins, ends, byte_view(buffers.raw_tokens), maps)
        for number in np.flatnonzero(~stored).tolist():
            shard, (row, slot, length, offset) = int(reads.shard[number]), reads.place(number)
            local = self._table.local(int(reads.record[number]), shard)
            column = self._record_columns.read_at("tokens", shard, local, int(at[number]))
            buffers.raw_tokens[row, slot : slot + length] = column.view(self._token_dtype)[offset : offset + length]

    def _columns(self, plan: BatchPlan, buffers: Buffers) -> Reads | None:
        """All that goes with tokens, but for patches; the reads that have some, if there may be any."""
        self._repeat_columns(plan.joined, buffers)
        reads = plan.reads
        read_columns = np.flatnonzero(reads.layout == READ_COLUMNS).tolist()
        if not self._with_patches and not read_columns:
            return None
        for number in read_columns:
            reads.first_patch[number], reads.num_patches[number] = self._read_columns(
                buffers, *reads.place(number), int(reads.record[number]), int(reads.shard[number])
            )
        return reads if reads.num_patches.all() else reads.take(np.flatnonzero(reads.num_patches))

    def _repeat_columns(self, reads: Reads, buffers: Buffers) -> None:
        """Columns of reads whose layout is known; rows that begin with another one become padding."""
        layout = reads.layout
        known, begins = layout != READ_COLUMNS, reads.slot == 0
        whole = known & begins
        if whole.all():
            self._finished.put_whole(buffers, layout, reads.row, reads.length, reads.offset)
            return
        at = np.flatnonzero(whole)
        self._finished.put_whole(buffers, layout[at], reads.row[at], reads.length[at], reads.offset[at])
        buffers.clear(reads.row[~known & begins])
        for number in np.flatnonzero(known & ~begins).tolist():
            self._finished.put(buffers, int(layout[number]), *reads.place(number))

    def _read_columns(
        self, buffers: Buffers, row: int, slot: int, length: int, offset: int, record: int, shard: int
    ) -> tuple[int, int]:
        """Fill a read's slots from the columns of its record; its first patch in the record, and their number."""
        local = self._table.local(record, shard)
        slots, tokens = slice(slot, slot + length), slice(offset, offset + length)
        for name in ("modality", "loss_mask", "position"):
            getattr(buffers, name)[row, slots] = self._record_columns.read(name, shard, local)[tokens]
        is_patch = self._record_columns.read("modality", shard, local) == _PATCH
        return int(np.count_nonzero(is_patch[:offset])), int(np.count_nonzero(is_patch[tokens]))

    def _leave_untrained(self, pieces: Pieces, mask: NDArray[np.uint8]) -> None:
        mask[pieces.row, pieces.slot] = 0
        for number in np.flatnonzero(pieces.untrained > 1).tolist():
            slot = int(pieces.slot[number])
            mask[pieces.row[number], slot : slot + int(pieces.untrained[number])] = 0


def _packed(pieces: Pieces, segment: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number the episodes of each row."""
    segment[...] = 0
    for number in np.flatnonzero(pieces.segment).tolist():
        segment[pieces.row[number], int(pieces.slot[number]) :] = pieces.segment[number]
    return segment
