"""Pieces -> the parts of them that lie in one record each."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gato_data.permutation import Numbers
from gato_data.reading.layouts import READ_COLUMNS, RecordLayouts
from gato_data.reading.pieces import Pieces
from gato_data.shards.episodes import EpisodeTable


@dataclass(frozen=True, slots=True, eq=False)
class Reads:
    """The parts of pieces that lie in one record each, in the order of their slots; int64 (N,) unless said.

    Attributes:
        row, slot, length: where the tokens go.
        record: counted through the whole mixture.
        shard: counted through the whole mixture.
        offset: first token, within the record.
        layout: int32, of the record, or `READ_COLUMNS`.
        first_patch: number in the record of the first patch among the tokens.
        num_patches: patches among the tokens; 0 where the layout is not known, until columns are read.
    """

    row: Numbers
    slot: Numbers
    length: Numbers
    record: Numbers
    shard: Numbers
    offset: Numbers
    layout: NDArray[np.int32]
    first_patch: Numbers
    num_patches: Numbers

    def place(self, number: int) -> tuple[int, int, int, int]:
        """Row, slot, length and offset of one read."""
        return int(self.row[number]), int(self.slot[number]), int(self.length[number]), int(self.offset[number])

    def take(self, which: Numbers | slice) -> "Reads":
        """Some of the reads."""
        return Reads(*(getattr(self, name)[which] for name in self.__slots__))

    def split(self, bounds: Numbers) -> Iterator["Reads"]:
        """The reads of the rows between every two neighbouring bounds, rows renumbered from 0."""
        places = np.searchsorted(self.row, bounds).tolist()
        for first, (start, stop) in zip(bounds.tolist(), pairwise(places), strict=False):
            part = self.take(slice(start, stop))
            yield replace(part, row=part.row - first)

    @classmethod
    def of(cls, pieces: Pieces, table: EpisodeTable, layouts: RecordLayouts) -> "Reads":
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
        length, offset, layout = end - token, token - table.record_token[record], layouts.of_record[record]
        return cls(row, slot, length, record, shard, offset, layout, *layouts.patches(layout, offset, length))

    def joined(self, periods: Numbers) -> "Reads":
        """The same slots in fewer reads: those side by side that go on in one layout become one, of the first record.

        Args:
            periods: tokens of the period of each layout.
        """
        if not self.slot.any():
            return self
        beyond = self.offset[1:] - self.offset[:-1] - self.length[:-1]
        goes_on = (self.layout[1:] != READ_COLUMNS) & (self.layout[1:] == self.layout[:-1])
        goes_on &= beyond % periods[self.layout[1:]] == 0
        goes_on &= (self.row[1:] == self.row[:-1]) & (self.slot[1:] == self.slot[:-1] + self.length[:-1])
        first = np.flatnonzero(np.concatenate([[True], ~goes_on]))
        length, num_patches = (np.add.reduceat(column, first) for column in (self.length, self.num_patches))
        return replace(self.take(first), length=length, num_patches=num_patches)
