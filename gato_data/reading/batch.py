"""What the reader hands to a trainer: one batch of windows as plain numpy arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PADDING = 255
"""`Batch.modality` of a slot beyond the end of a short window."""


@dataclass(frozen=True, slots=True, repr=False)
class Batch:
    """B windows of `context_length + 1` = L + 1 tokens: inputs are slots 0..L-1, targets are slots 1..L.

    Attributes:
        tokens: int32 (B, L + 1), vocabulary ids; 0 in patch and padding slots, so that a lookup is always safe.
        loss_mask: uint8 (B, L + 1), 1 where the token is trained on (as a target).
        modality: uint8 (B, L + 1), `gato_schemas.sequence.Modality`, or `PADDING`.
        position: int32 (B, L + 1), index within the timestep's observation, or a reserved code
            (`gato_schemas.sequence.POSITION_ACTION`, `POSITION_SEPARATOR`, `POSITION_NONE`).
        distinct_patches: uint8 (K, 16, 16, 3), every distinct patch of the batch once, then zeros up to K rows: K is
            one of a few sizes (`gato_data.distinct_patches.bucket`), or 0 where no patch comes.
        num_distinct: rows of `distinct_patches` before the zeros.
        patch_index: int32 (P,), which of them every patch slot of the batch holds, in slot order.
        patch_position: uint8 (P, 4), row low, row high, column low, column high, each in 0..128.
        patch_slot: int64 (P,), where each patch goes: b * (L + 1) + l.
        supervised_slot: int64 (S,), ascending; the inputs b * L + l whose target (slot l + 1) is trained on.
        length: int32 (B,), real tokens in each window; the rest is padding on the right.
        dataset: int32 (B,), index of the dataset in the mixture.
        sample: int64 (B,), the global sample number of each window.
        piece_slot: int64 (Q,), ascending; where the pieces of episodes begin that the windows are made of: at
            b * (L + 1), and behind a prompt or a packed episode.
        segment: with packing or a limited history, int32 (B, L + 1): which of the parts of the window that do not see
            each other a slot belongs to, from 0 on; padding continues the last one. Attention must not cross from one
            segment into another. Else None.
    """

    tokens: NDArray[np.int32]
    loss_mask: NDArray[np.uint8]
    modality: NDArray[np.uint8]
    position: NDArray[np.int32]
    distinct_patches: NDArray[np.uint8]
    num_distinct: int
    patch_index: NDArray[np.int32]
    patch_position: NDArray[np.uint8]
    patch_slot: NDArray[np.int64]
    supervised_slot: NDArray[np.int64]
    length: NDArray[np.int32]
    dataset: NDArray[np.int32]
    sample: NDArray[np.int64]
    piece_slot: NDArray[np.int64]
    segment: NDArray[np.int32] | None = None

    @property
    def patches(self) -> NDArray[np.uint8]:
        """uint8 (P, 16, 16, 3), the pixels of every patch slot of the batch, in slot order: a new array."""
        return self.distinct_patches[self.patch_index]

    def __repr__(self) -> str:
        windows, width = self.tokens.shape
        return (
            f"<gato_data.Batch of {windows} windows of {width - 1} tokens, {len(self.supervised_slot)} targets, "
            f"{len(self.patch_index)} patches ({self.num_distinct} distinct)>"
        )
