"""TokenSequence: the tokens of one episode or document, in order, with everything that belongs to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from gato_schemas.errors import FormatError

PATCH_SIZE = 16
"""Pixels on a side of an image patch (paper section 2.1)."""
PATCH_SHAPE = (PATCH_SIZE, PATCH_SIZE, 3)
PATCH_BYTES = PATCH_SIZE * PATCH_SIZE * 3
PATCH_POSITIONS = 128
"""Vocabulary of the quantised row and column intervals of a patch (paper appendix C.3)."""

POSITION_ACTION = 65535
POSITION_SEPARATOR = 65534
POSITION_NONE = 65533
"""Position of a token that has none: every token of a document."""


class Modality(IntEnum):
    """What a token stands for, as stored in the `modality` column."""

    TEXT = 0
    PATCH = 1
    DISCRETE = 2
    CONTINUOUS = 3
    SEPARATOR = 4


@dataclass(frozen=True, slots=True, eq=False)
class TokenSequence:
    """N tokens with P patches from I images over T timesteps (T = 0 for a document).

    Attributes:
        tokens: uint16 or int32 (N,), vocabulary ids; the filler id where `modality` is PATCH.
        loss_mask: uint8 (N,), 1 = trained on.
        modality: uint8 (N,), a `Modality`.
        position: uint16 (N,), 0-based index among the observation tokens of the timestep, or a reserved code.
        timestep_starts: int32 (T,), offset of the first token of every timestep.
        reward: float32 (T,), NaN where the source has none.
        patches: uint8 (P, 16, 16, 3), RGB pixels in token order.
        patch_position: uint8 (P, 4), row low, row high, column low, column high, in 1/128 of the image.
        image_grid: int32 (I, 5), first patch, rows, columns, content height and width in pixels.
    """

    tokens: NDArray[np.uint16] | NDArray[np.int32]
    loss_mask: NDArray[np.uint8]
    modality: NDArray[np.uint8]
    position: NDArray[np.uint16]
    timestep_starts: NDArray[np.int32]
    reward: NDArray[np.float32]
    patches: NDArray[np.uint8]
    patch_position: NDArray[np.uint8]
    image_grid: NDArray[np.int32]

    @property
    def num_tokens(self) -> int:
        """Number of tokens, patches included."""
        return len(self.tokens)

    @property
    def num_patches(self) -> int:
        """Number of patches."""
        return len(self.patches)

    @property
    def num_timesteps(self) -> int:
        """Number of timesteps; 0 for a document."""
        return len(self.timestep_starts)

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(self.image_grid)

    def timestep_range(self, timestep: int) -> tuple[int, int]:
        """The first token of a timestep and one past its last one."""
        is_last = timestep + 1 == self.num_timesteps
        end = self.num_tokens if is_last else int(self.timestep_starts[timestep + 1])
        return int(self.timestep_starts[timestep]), end

    def slice(self, start: int, stop: int, *, timesteps: slice, images: slice) -> "TokenSequence":
        """Cut tokens [start, stop) with the given timesteps and images; offsets become relative to the cut."""
        grid = self.image_grid[images].copy()
        first_patch = int(grid[0, 0]) if len(grid) else 0
        last_patch = first_patch + int((grid[:, 1].astype(np.int64) * grid[:, 2]).sum())
        grid[:, 0] -= first_patch
        return TokenSequence(
            tokens=self.tokens[start:stop],
            loss_mask=self.loss_mask[start:stop],
            modality=self.modality[start:stop],
            position=self.position[start:stop],
            timestep_starts=self.timestep_starts[timesteps] - np.int32(start),
            reward=self.reward[timesteps],
            patches=self.patches[first_patch:last_patch],
            patch_position=self.patch_position[first_patch:last_patch],
            image_grid=grid,
        )


_DTYPES: Mapping[str, np.dtype[np.generic]] = {
    "loss_mask": np.dtype(np.uint8),
    "modality": np.dtype(np.uint8),
    "position": np.dtype(np.uint16),
    "timestep_starts": np.dtype(np.int32),
    "reward": np.dtype(np.float32),
    "patches": np.dtype(np.uint8),
    "patch_position": np.dtype(np.uint8),
    "image_grid": np.dtype(np.int32),
}
_TOKENS = (np.dtype(np.uint16), np.dtype(np.int32))
_ROWS = {"patches": PATCH_SHAPE, "patch_position": (4,), "image_grid": (5,)}


def check(sequence: TokenSequence) -> None:
    """Check that the columns are what `TokenSequence` says and agree with each other.

    Raises:
        FormatError: a dtype or length is wrong, there is no such modality, the number of patches is not the number
            of PATCH tokens, images do not cover the patches in order, or timesteps are out of order.
    """
    n, p, t = sequence.num_tokens, sequence.num_patches, sequence.num_timesteps
    if sequence.tokens.dtype not in _TOKENS or sequence.tokens.ndim != 1:
        raise FormatError(f"column tokens is {sequence.tokens.dtype}, uint16 or int32 is wanted")
    for name, dtype in _DTYPES.items():
        column, row = getattr(sequence, name), _ROWS.get(name, ())
        if column.dtype != dtype or column.shape[1:] != row:
            wanted = f"{dtype} with rows {row}"
            raise FormatError(f"column {name} is {column.dtype} with rows {column.shape[1:]}, {wanted} is wanted")
    for name in ("loss_mask", "modality", "position"):
        if len(getattr(sequence, name)) != n:
            raise FormatError(f"column {name} has {len(getattr(sequence, name))} values for {n} tokens")
    if len(sequence.reward) != t:
        raise FormatError(f"column reward has {len(sequence.reward)} values for {t} timesteps")
    if len(sequence.patch_position) != p:
        raise FormatError(f"column patch_position has {len(sequence.patch_position)} rows for {p} patches")
    if (in_tokens := int(np.count_nonzero(sequence.modality == Modality.PATCH))) != p:
        raise FormatError(f"{p} patches are stored for {in_tokens} patch tokens")
    if sequence.modality.max(initial=0) >= len(Modality):
        raise FormatError(f"modality {int(sequence.modality.max())} is unknown")
    _check_timesteps(sequence.timestep_starts, n)
    if p or sequence.num_images:
        _check_images(sequence.image_grid.astype(np.int64), p)


def _check_timesteps(starts: NDArray[np.int32], tokens: int) -> None:
    if len(starts) and (starts[0] != 0 or starts[-1] >= tokens or bool((starts[1:] <= starts[:-1]).any())):
        raise FormatError(f"column timestep_starts does not ascend from 0 to {tokens}")


def _check_images(grid: NDArray[np.int64], patches: int) -> None:
    first, sides, content = grid[:, 0], grid[:, 1:3], grid[:, 3:]
    good = bool(((sides > 0) & (content > 0) & (content <= sides * PATCH_SIZE)).all())
    ends = np.cumsum(sides.prod(axis=1)) if good else np.zeros(0, np.int64)
    # `first` has 31 bits, so a sum is found wrong before it could overflow
    good = good and bool((first[1:] == ends[:-1]).all()) and (not len(grid) or first[0] == 0)
    if not good or (int(ends[-1]) if len(grid) else 0) != patches:
        raise FormatError(f"column image_grid has an image outside the patches, or leaves some of all {patches} out")
