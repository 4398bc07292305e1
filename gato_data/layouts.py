"""Columns that need not be read: timesteps of one task repeat the same modalities, positions and loss mask.

A layout is one timestep of a task, read once from the shards. It stands for a record only if the record's counts in
the index, token by modality and under the mask, are those of whole timesteps of it. All other records (text of
varying length inside timesteps, documents with images) have their columns read.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gato_data.batch import PADDING
from gato_schemas.sequence import POSITION_NONE, Modality

READ_COLUMNS = -1
"""Layout number of a record whose columns are read."""
PLAIN_TEXT = 0
"""Layout number of documents that are text, all of it trained on."""


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

    def patches_until(self, token: int) -> int:
        """Patches among the first `token` tokens of a record."""
        periods, rest = divmod(token, self.period)
        return periods * self.num_patches + int(self.patches_before[rest])

    def fits(
        self, by_modality: NDArray[np.integer], loss_tokens: NDArray[np.integer], timesteps: NDArray[np.integer]
    ) -> NDArray[np.bool_]:
        """Which records (N,) have the counts of as many whole periods as they have timesteps."""
        counts = np.bincount(self.modality, minlength=len(Modality))
        steps = timesteps.astype(np.int64)
        same = (by_modality == steps[:, None] * counts).all(axis=1)
        return same & (loss_tokens == steps * int(self.loss_mask.sum()))


def plain_text() -> Layout:
    """The layout of a document of trained text: one token repeats."""
    return Layout(
        np.array([Modality.TEXT], np.uint8),
        np.ones(1, np.uint8),
        np.array([POSITION_NONE], np.uint16),
        np.zeros((0, 4), np.uint8),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Tiles:
    """Whole rows cut from repeated layouts, for any phase: row [layout, phase] is tokens phase .. phase + W - 1.

    Attributes:
        rows: for each layout, (modality, loss_mask, position) tiles of W + U tokens.
        width: tokens of a row, W.
    """

    rows: list[tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32]]]
    width: int

    @classmethod
    def of(cls, layouts: list[Layout], width: int) -> "Tiles":
        """Repeat every layout often enough for rows of `width` tokens."""
        rows = []
        for layout in layouts:
            size = width + layout.period
            rows.append(
                (
                    np.resize(layout.modality, size),
                    np.resize(layout.loss_mask, size),
                    np.resize(layout.position, size).astype(np.int32),
                )
            )
        return cls(rows, width)


def empty_row_values() -> tuple[int, int, int, int]:
    """Token, loss mask, modality and position of a padding slot."""
    return 0, 0, PADDING, POSITION_NONE
