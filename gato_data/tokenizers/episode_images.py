"""The images of an episode or document: all their patches in token order, where each stands, and the grid of each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_data.tokenizers import image
from gato_schemas.episode import Field
from gato_schemas.sequence import PATCH_SHAPE


@dataclass(frozen=True, slots=True)
class ImageSize:
    """One image field, or one image of a document.

    Attributes:
        name: in errors.
        shape: of one image, (H, W, 3).
        content: its height and width before padding; None where it was not padded.
    """

    name: str
    shape: tuple[int, ...]
    content: tuple[int, int] | None = None

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches.

        Raises:
            EpisodeError: there is no such image, or a side is no multiple of 16.
        """
        if len(self.shape) != 3 or self.shape[2] != 3:
            raise EpisodeError(f"{self.name} has shape {self.shape}: an image of shape (H, W, 3) is wanted")
        return image.grid(self.shape[0], self.shape[1], self.name)

    @property
    def num_patches(self) -> int:
        """Patches of one image."""
        return math.prod(self.grid)


def size_of(field: Field) -> ImageSize:
    """The size of an image field."""
    return ImageSize(field.name, field.shape, field.content)


def patches(pixels: Sequence[NDArray[np.uint8]], sizes: Sequence[ImageSize], steps: int) -> NDArray[np.uint8]:
    """Patches of all images in token order, uint8 (P, 16, 16, 3); no other copy of the pixels is made.

    Args:
        pixels: uint8 (steps, H, W, 3) of each field.
        sizes: of each field.
        steps: number of timesteps.

    Raises:
        EpisodeError: an image has another shape than its field, or is not uint8.
    """
    for values, size in zip(pixels, sizes, strict=True):
        if values.shape[1:] != size.shape:
            raise EpisodeError(f"{size.name} has shape {values.shape[1:]} in this episode: {size.shape} is wanted")
    out = np.empty((steps, sum(size.num_patches for size in sizes), *PATCH_SHAPE), np.uint8)
    start = 0
    for values, size in zip(pixels, sizes, strict=True):
        image.to_patches(values, out[:, start : start + size.num_patches], size.name)
        start += size.num_patches
    return out.reshape(-1, *PATCH_SHAPE)


def grids(sizes: Sequence[ImageSize], steps: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Positions of all patches, uint8 (P, 4), and the grid of every image, int32 (I, 5), over all timesteps."""
    positions = np.concatenate([np.zeros((0, 4), np.uint8), *(image.patch_positions(*size.grid) for size in sizes)])
    table = np.empty((steps, len(sizes), 5), np.int32)
    first = 0
    for number, size in enumerate(sizes):
        table[:, number, 0] = np.arange(steps) * len(positions) + first
        table[:, number, 1:] = (*size.grid, *(size.content or size.shape[:2]))
        first += size.num_patches
    return np.tile(positions, (steps, 1)), table.reshape(-1, 5)
