"""The picture of a card: a few images side by side."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

SIDE, GAP = 128, 4
"""Pixels of the longer side of an image, and between two of them."""


def picture(frames: Sequence[NDArray[np.uint8]]) -> bytes:
    """Images uint8 (h, w, 3) side by side as PNG; small ones are magnified by a whole number, large ones averaged."""
    from PIL import Image

    shown = [_fitted(Image.fromarray(np.ascontiguousarray(frame))) for frame in frames]
    width = sum(image.width + GAP for image in shown) - GAP
    sheet = Image.new("RGB", (width, max(image.height for image in shown)), "white")
    left = 0
    for image in shown:
        sheet.paste(image, (left, 0))
        left += image.width + GAP
    out = io.BytesIO()
    sheet.save(out, "PNG", compress_level=9)
    return out.getvalue()


def _fitted(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    longer = max(image.size)
    if longer <= SIDE:
        factor = SIDE // longer
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    width, height = (max(1, round(side * SIDE / longer)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX)
