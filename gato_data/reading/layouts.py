"""Columns that need not be read: timesteps of one task repeat the same modalities, positions and loss mask.

A layout is one timestep of a task, read once from the shards. It stands for a record only if the record's counts in
the index, token by modality and under the mask, are those of whole timesteps of it. All other records (text of
varying length inside timesteps, documents with images) have their columns read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gato_data.permutation import Numbers
from gato_data.reading.batch import PADDING
from gato_data.reading.buffers import Buffers
from gato_schemas.sequence import POSITION_NONE, Modality

READ_COLUMNS = -1
"""Layout number of a record whose columns are read."""
PLAIN_TEXT = 0
"""Layout number of documents that are text, all of it trained on."""
_KEPT_ROWS = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """One period of tokens that repeats; U tokens with m patches.

    Attributes:
        modality: uint8 (U,).
        loss_mask: uint8 (U,).
        position: uint16 (U,).
        patch_position: uint8 (m, 4).
        patches_before: int64 (U + 1,), patches before each token of the period.
    """

    modality: NDArray[np.uint8]
    loss_mask: NDArray[np.uint8]
    position: NDArray[np.uint16]
    patch_position: NDArray[np.uint8]
    patches_before: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        counted = np.concatenate([[0], np.cumsum(self.modality == Modality.PATCH)])
        object.__setattr__(self, "patches_before", counted.astype(np.int64))

    @property
    def period(self) -> int:
        """Tokens of the period, U."""
        return len(self.modality)

    @property
    def num_patches(self) -> int:
        """Patches of the period, m."""
        return len(self.patch_position)

    def patches_until(self, token: Numbers) -> Numbers:
        """Patches among the first tokens of a record, for each number of tokens."""
        periods, rest = np.divmod(token, self.period)
        return periods * self.num_patches + self.patches_before[rest]

    def fits(
        self, by_modality: NDArray[np.integer], loss_tokens: NDArray[np.integer], timesteps: NDArray[np.integer]
    ) -> NDArray[np.bool_]:
        """Which records (N,) have the counts of as many whole periods as they have timesteps."""
        counts = np.bincount(self.modality, minlength=len(Modality))
        steps = timesteps.astype(np.int64)
        same: NDArray[np.bool_] = (by_modality == steps[:, None] * counts).all(axis=1)
        same &= loss_tokens == steps * int(self.loss_mask.sum())
        return same


@dataclass(frozen=True, slots=True, eq=False)
class RecordLayouts:
    """The layouts of a mixture, and which of them each of R records has.

    Attributes:
        layouts: by number.
        of_record: int32 (R,), the number of each record's own, or `READ_COLUMNS`.
    """

    layouts: Sequence[Layout]
    of_record: NDArray[np.int32]

    @property
    def periods(self) -> Numbers:
        """Tokens of the period of each layout."""
        return np.array([layout.period for layout in self.layouts], np.int64)

    def patches(self, layout: NDArray[np.int32], offset: Numbers, length: Numbers) -> tuple[Numbers, Numbers]:
        """First patch and number of patches of runs of `length` tokens from `offset` of their records on.

        Args:
            layout: int32 (N,), of each record.
            offset, length: int64 (N,).

        Returns:
            int64 (N,) each, counted in the record; 0 where the layout is not known.
        """
        first, count = np.zeros_like(offset), np.zeros_like(offset)
        for number in np.unique(layout).tolist():
            if number != READ_COLUMNS and self.layouts[number].num_patches:
                one, where = self.layouts[number], np.flatnonzero(layout == number)
                first[where] = one.patches_until(offset[where])
                count[where] = one.patches_until(offset[where] + length[where]) - first[where]
        return first, count


def plain_text() -> Layout:
    """The layout of a document of trained text: one token repeats."""
    return Layout(
        np.array([Modality.TEXT], np.uint8),
        np.ones(1, np.uint8),
        np.array([POSITION_NONE], np.uint16),
        np.zeros((0, 4), np.uint8),
    )


class FinishedRows:
    """Writes repeated columns into rows of a batch; whole rows that were needed before are kept ready.

    Args:
        layouts: of the mixture.
        width: slots of a row.
    """

    def __init__(self, layouts: RecordLayouts, width: int) -> None:
        self._layouts, self._periods, self._width = layouts.layouts, layouts.periods, width
        self._rows: dict[tuple[int, int, int], _Row] = {}

    def put_whole(
        self, buffers: Buffers, number: NDArray[np.int32], row: Numbers, length: Numbers, offset: Numbers
    ) -> None:
        """Fill whole rows: `length` slots with the layout from token `offset` of its record on, then padding."""
        if not len(number):
            return
        # A row is told by (layout, length, phase), and length <= width, phase < longest period, so these
        # are the digits of one number. Where one kind fills more than half of the rows it is the median:
        # it is written to all rows at once, then the rows of other kinds one by one.
        phase = offset % self._periods[number]
        kind = (number.astype(np.int64) * (self._width + 1) + length) * self._periods.max() + phase
        common = np.sort(kind)[len(kind) // 2]
        all_rows = slice(int(row[0]), int(row[-1]) + 1)  # rows between that are not ours are filled by others, later
        at = int(np.argmax(kind == common))
        self._write(buffers, all_rows, int(number[at]), int(phase[at]), int(length[at]))
        for at in np.flatnonzero(kind != common).tolist():
            self._write(buffers, int(row[at]), int(number[at]), int(phase[at]), int(length[at]))

    def _write(self, buffers: Buffers, rows: slice | int, number: int, phase: int, length: int) -> None:
        buffers.modality[rows], buffers.loss_mask[rows], buffers.position[rows] = self._finished(number, phase, length)

    def put(self, buffers: Buffers, number: int, row: int, slot: int, length: int, offset: int) -> None:
        """Fill `length` slots of a row from `slot` on, and leave the others as they are."""
        ready = self._finished(number, offset % self._layouts[number].period, length)
        here = slice(slot, slot + length)
        buffers.modality[row, here] = ready[0][:length]
        buffers.loss_mask[row, here] = ready[1][:length]
        buffers.position[row, here] = ready[2][:length]

    def _finished(self, number: int, phase: int, length: int) -> "_Row":
        return self._rows.get((number, phase, length)) or self._finish(number, phase, length)

    def _finish(self, number: int, phase: int, length: int) -> "_Row":
        layout, padding = self._layouts[number], self._width - length
        place = (phase + np.arange(length)) % layout.period
        row = (
            np.pad(layout.modality[place], (0, padding), constant_values=PADDING),
            np.pad(layout.loss_mask[place], (0, padding)),
            np.pad(layout.position[place].astype(np.int32), (0, padding), constant_values=POSITION_NONE),
        )
        if len(self._rows) >= _KEPT_ROWS:
            self._rows.clear()
        self._rows[number, phase, length] = row
        return row


_Row: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32]]
