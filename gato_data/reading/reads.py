"""Pieces -> the parts of them that lie in one record each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gato_data.permutation import Numbers
from gato_data.reading.pieces import Pieces
from gato_data.shards.episodes import EpisodeTable


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

    def joined(self, layout: NDArray[np.int32], period: Numbers) -> tuple["Reads", NDArray[np.int32]]:
        """The same slots in fewer reads: those side by side that go on in one layout become one, of the first record.

        Args:
            layout: int32 (N,), of each read, negative where it is not known.
            period: of each layout, in tokens.
        """
        if not self.slot.any():
            return self, layout
        beyond = self.offset[1:] - self.offset[:-1] - self.length[:-1]
        goes_on = (layout[1:] >= 0) & (layout[1:] == layout[:-1]) & (beyond % period[layout[1:]] == 0)
        goes_on &= (self.row[1:] == self.row[:-1]) & (self.slot[1:] == self.slot[:-1] + self.length[:-1])
        first = np.flatnonzero(np.concatenate([[True], ~goes_on]))
        length = np.add.reduceat(self.length, first)
        columns = (self.row, self.slot, length, self.record, self.shard, self.offset)
        return Reads(*(column if column is length else column[first] for column in columns)), layout[first]
