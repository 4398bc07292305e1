"""Images <-> patches of 16 x 16 pixels in raster order, and the position of each patch (paper section 2.1, C.3)."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_schemas.sequence import PATCH_POSITIONS, PATCH_SHAPE, PATCH_SIZE


def grid(height: int, width: int, field: str = "image") -> tuple[int, int]:
    """Rows and columns of patches.

    Raises:
        EpisodeError: a side is zero or no multiple of 16.
    """
    if height % PATCH_SIZE or width % PATCH_SIZE or not height or not width:
        raise EpisodeError(
            f"{field} is {height}x{width} pixels: sides that are multiples of {PATCH_SIZE} are wanted, "
            "resize or pad it to such a size"
        )
    return height // PATCH_SIZE, width // PATCH_SIZE


def to_patches(
    images: NDArray[np.uint8], out: NDArray[np.uint8] | None = None, field: str = "image"
) -> NDArray[np.uint8]:
    """Cut uint8 images (T, H, W, 3) into patches (T, m, 16, 16, 3), m = H/16 * W/16 in raster order.

    Args:
        images: the images.
        out: where to write the patches; new memory if None.
        field: name in the error.

    Raises:
        EpisodeError: not uint8 RGB, or a side is no multiple of 16.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise EpisodeError(f"{field} is {images.dtype} {images.shape}: uint8 (T, H, W, 3) is wanted")
    rows, columns = grid(images.shape[1], images.shape[2], field)
    steps = len(images)
    if out is None:
        out = np.empty((steps, rows * columns, *PATCH_SHAPE), np.uint8)
    blocks = images.reshape(steps, rows, PATCH_SIZE, columns, PATCH_SIZE, 3)
    out.reshape(steps, rows, columns, *PATCH_SHAPE)[...] = blocks.transpose(0, 1, 3, 2, 4, 5)
    return out


def from_patches(patches: NDArray[np.uint8], image_grid: NDArray[Any]) -> NDArray[np.uint8]:
    """Put one image back together, uint8 (h, w, 3), without its padding.

    Args:
        patches: (P, 16, 16, 3), all patches of the record.
        image_grid: (5,), the image's row of the `image_grid` column.
    """
    first, rows, columns, height, width = (int(value) for value in image_grid)
    blocks = patches[first : first + rows * columns].reshape(rows, columns, *PATCH_SHAPE)
    image = blocks.transpose(0, 2, 1, 3, 4).reshape(rows * PATCH_SIZE, columns * PATCH_SIZE, 3)
    return image[:height, :width]


@lru_cache(maxsize=64)
def patch_positions(rows: int, columns: int) -> NDArray[np.uint8]:
    """Quantised intervals of every patch of an image, uint8 (rows * columns, 4), values in 0..128.

    Row low, row high, column low, column high: the pixel interval divided by the image's side, times 128, rounded
    half to even (paper appendix C.3; its example is rows 32..64 and columns 51..77 in a 64 x 80 image).
    """
    row_edges, column_edges = _position_edges(rows), _position_edges(columns)
    table = np.empty((rows, columns, 4), np.uint8)
    table[..., 0] = row_edges[:-1, None]
    table[..., 1] = row_edges[1:, None]
    table[..., 2] = column_edges[None, :-1]
    table[..., 3] = column_edges[None, 1:]
    table.flags.writeable = False
    return table.reshape(-1, 4)


def _position_edges(count: int) -> NDArray[np.uint8]:
    # one correctly rounded division of whole numbers: a half is a half, whatever the count
    return np.rint(np.arange(count + 1) * PATCH_POSITIONS / count).astype(np.uint8)
