"""Pieces -> a batch: positioned reads straight into the batch's rows; nothing is parsed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gato_data.distinct_patches import bucket, distinct
from gato_data.permutation import Numbers
from gato_data.reading.batch import Batch
from gato_data.reading.buffers import Buffers, byte_view, places_of
from gato_data.reading.first_touch import FirstTouch
from gato_data.reading.layouts import READ_COLUMNS, FinishedRows, Layout
from gato_data.reading.patches import PatchReader, PatchRun, layout_runs
from gato_data.reading.pieces import Pieces
from gato_data.shards.episodes import EpisodeTable
from gato_data.shards.files import ShardFiles
from gato_schemas.index_rows import RANK_TOKENS
from gato_schemas.sequence import Modality


@dataclass(frozen=True, slots=True, eq=False)
class Reads:
    """The parts of pieces that lie in one record each; int64 (N,).

    Attributes:
        row, slot, length: where the tokens go.
        record: counted through the whole mixture.
        shard: counted through the whole mixture.
        offset: first token, within the record.
    """

    row: Numbers
    slot: Numbers
    length: Numbers
    record: Numbers
    shard: Numbers
    offset: Numbers

    def place(self, number: int) -> tuple[int, int, int, int]:
        """Row, slot, length and offset of one read."""
        return int(self.row[number]), int(self.slot[number]), int(self.length[number]), int(self.offset[number])

    @classmethod
    def of(cls, pieces: Pieces, table: EpisodeTable) -> "Reads":
        """Cut pieces where one record ends and the next begins."""
        token, end = pieces.token, pieces.token + pieces.length
        record = np.searchsorted(table.record_token, token, side="right") - 1
        last = np.searchsorted(table.record_token, end - 1, side="right") - 1
        row, slot = pieces.row, pieces.slot
        if (many := last - record).any():
            piece = np.repeat(np.arange(len(token)), many + 1)
            inner = np.arange(len(piece)) - np.repeat(np.cumsum(many + 1) - many - 1, many + 1)
            record = record[piece] + inner
            begin = np.maximum(token[piece], table.record_token[record])
            end = np.minimum(end[piece], table.record_token[record + 1])
            slot, row, token = slot[piece] + begin - token[piece], row[piece], begin
        shard = np.searchsorted(table.shard_record, record, side="right") - 1
        return cls(row, slot, end - token, record, shard, token - table.record_token[record])


class Filler:
    """Fills batches; one for a mixture, used by several threads at once with buffers of their own.

    Args:
        table: the episodes of the mixture.
        files: its shards.
        layouts: the layouts that repeat.
        record_layout: int32 (R,), the layout of each record or `READ_COLUMNS`.
        width: slots of a row, context length + 1.
        token_bytes: 2 or 4.
        with_segments: whether episodes are packed.
        check_data: compare every record with its checksum when it is first read.
    """

    def __init__(
        self,
        table: EpisodeTable,
        files: ShardFiles,
        layouts: Sequence[Layout],
        record_layout: NDArray[np.int32],
        *,
        width: int,
        token_bytes: int,
        with_segments: bool,
        check_data: bool,
    ) -> None:
        self._table, self._files, self._layouts, self._record_layout = table, files, layouts, record_layout
        self._width, self._token_bytes, self._with_segments = width, token_bytes, with_segments
        self._with_patches = any(layout.num_patches for layout in layouts)
        self._finished = FinishedRows(layouts, width)
        self._patches = PatchReader(table, files, layouts, width)
        self._first_touch = FirstTouch(table, files) if check_data else None

    def fill(self, pieces: Pieces, dataset: Numbers, sample: Numbers, buffers: Buffers) -> Batch:
        """Read the pieces of one batch into `buffers`; the batch is made of views of them.

        Raises:
            FormatError: a shard is missing or damaged; the message names file, record and byte.
        """
        rows = len(sample)
        reads = Reads.of(pieces, self._table)
        if self._first_touch is not None:
            self._first_touch.check(reads.record, reads.shard)
        tokens, mask, modality = buffers.tokens[:rows], buffers.loss_mask[:rows], buffers.modality[:rows]
        buffers.raw_tokens[:rows] = 0
        runs = self._columns(reads, buffers)
        np.copyto(tokens, buffers.raw_tokens[:rows])
        self._leave_untrained(pieces, mask)
        length = np.zeros(rows, np.int32)
        length[pieces.row] = pieces.slot + pieces.length  # of several pieces in a row the last one counts
        patches, patch_position = buffers.patches(sum(run.count for run in runs))
        patch_slot = buffers.patch_slot[:0]
        if runs:
            self._patches.read(runs, patches, patch_position)
            is_patch = modality == Modality.PATCH
            tokens[is_patch] = 0
            patch_slot = places_of(is_patch, buffers.patch_slot)
        table, patch_index = distinct(patches)
        padded = np.zeros((bucket(len(table)) if len(table) else 0, *table.shape[1:]), np.uint8)
        padded[: len(table)] = table
        return Batch(
            tokens=tokens,
            loss_mask=mask,
            modality=modality,
            position=buffers.position[:rows],
            distinct_patches=padded,
            num_distinct=len(table),
            patch_index=patch_index,
            patch_position=patch_position,
            patch_slot=patch_slot,
            supervised_slot=places_of(mask.view(np.bool_)[:, 1:], buffers.supervised_slot),
            length=length,
            dataset=dataset.astype(np.int32),
            sample=sample,
            segment=_segments(pieces, buffers.segment[:rows]) if self._with_segments else None,
        )

    def spans(self, reads: Reads) -> Iterator[tuple[int, int, int]]:
        """Shard, offset and size of what the reads need, as far as that can be told without reading."""
        layout = self._record_layout[reads.record]
        byte = self._table.tokens_at[reads.record] + reads.offset * self._token_bytes
        size = reads.length * self._token_bytes
        yield from zip(reads.shard.tolist(), byte.tolist(), size.tolist(), strict=True)
        runs = layout_runs(self._layouts, layout, reads.shard, reads.record, reads.offset, reads.length)
        for run in runs.values():
            yield self._patches.span(run)
        for number in np.flatnonzero(layout == READ_COLUMNS).tolist():
            shard = int(reads.shard[number])
            index = self._files.index(shard)
            local = self._table.local(int(reads.record[number]), shard)
            _, _, length, offset = reads.place(number)
            for column, width in (("modality", 1), ("loss_mask", 1), ("position", 2)):
                yield shard, index.payload(local, column) + offset * width, length * width

    def _columns(self, reads: Reads, buffers: Buffers) -> list[PatchRun]:
        """Tokens and all that goes with them, but for the pixels, which are left to be read."""
        width, item = self._width, self._token_bytes
        layout = self._record_layout[reads.record]
        byte = self._table.tokens_at[reads.record] + reads.offset * item
        place = (reads.row * width + reads.slot) * item
        self._files.read_many(reads.shard, byte, place, place + reads.length * item, byte_view(buffers.raw_tokens))
        known, begins = layout != READ_COLUMNS, reads.slot == 0
        whole = known & begins
        if whole.all():
            self._finished.put_whole(buffers, layout, reads.row, reads.length, reads.offset)
        else:
            at = np.flatnonzero(whole)
            self._finished.put_whole(buffers, layout[at], reads.row[at], reads.length[at], reads.offset[at])
            buffers.clear(reads.row[~known & begins])
            for number in np.flatnonzero(known & ~begins).tolist():
                self._finished.put(buffers, int(layout[number]), *reads.place(number))
        if not self._with_patches and known.all():
            return []
        runs = layout_runs(self._layouts, layout, reads.shard, reads.record, reads.offset, reads.length)
        for number in np.flatnonzero(~known).tolist():
            runs[number] = self._read_columns(
                buffers, *reads.place(number), int(reads.record[number]), int(reads.shard[number])
            )
        return [run for _, run in sorted(runs.items()) if run.count]

    def _read_columns(
        self, buffers: Buffers, row: int, slot: int, length: int, offset: int, record: int, shard: int
    ) -> PatchRun:
        index = self._files.index(shard)
        local = self._table.local(record, shard)
        names = ("modality", "loss_mask", "position")
        modality_at, mask_at, position_at = (index.payload(local, name) for name in names)
        mark = offset // RANK_TOKENS
        before = bytearray(offset - mark * RANK_TOKENS + length)
        self._files.read(shard, modality_at + mark * RANK_TOKENS, memoryview(before))
        modality = np.frombuffer(before, np.uint8)
        here = slice(slot, slot + length)
        buffers.modality[row, here] = modality[len(modality) - length :]
        loss_mask = buffers.loss_mask[row, here]
        self._files.read(shard, mask_at + offset, byte_view(loss_mask))
        position = np.empty(length, "<u2")
        self._files.read(shard, position_at + 2 * offset, byte_view(position))
        buffers.position[row, here] = position
        if (modality > max(Modality)).any():
            raise self._files.error(shard, modality_at + offset, "has an unknown modality")
        if (loss_mask > 1).any():
            raise self._files.error(shard, mask_at + offset, "has a loss mask of other numbers than 0 and 1")
        is_patch = modality == Modality.PATCH
        first = int(index.ranks_of(local)[mark]) + int(is_patch[: len(modality) - length].sum())
        return PatchRun(shard, record, first, int(is_patch[len(modality) - length :].sum()), READ_COLUMNS)

    def _leave_untrained(self, pieces: Pieces, mask: NDArray[np.uint8]) -> None:
        mask[pieces.row, pieces.slot] = 0
        for number in np.flatnonzero(pieces.untrained > 1).tolist():
            slot = int(pieces.slot[number])
            mask[pieces.row[number], slot : slot + int(pieces.untrained[number])] = 0


def _segments(pieces: Pieces, segment: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number the episodes of each row."""
    segment[...] = 0
    for number in np.flatnonzero(pieces.segment).tolist():
        segment[pieces.row[number], int(pieces.slot[number]) :] = pieces.segment[number]
    return segment
