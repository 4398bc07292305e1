"""Images as data URIs."""

import base64
import io

import numpy as np
from numpy.typing import NDArray

THUMBNAIL = 44
"""Pixels of the longer side of a thumbnail."""


def encode(pixels: NDArray[np.uint8], quality: int | None) -> bytes:
    """An image uint8 (h, w, 3) as WebP, exact where `quality` is None."""
    from PIL import Image

    out = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if quality is None:
        image.save(out, "WEBP", lossless=True, quality=50, method=3)
    else:
        image.save(out, "WEBP", quality=quality, method=4)
    return out.getvalue()


def uri(data: bytes) -> str:
    """WebP bytes as a data URI."""
    return "data:image/webp;base64," + base64.b64encode(data).decode("ascii")


def thumbnail(pixels: NDArray[np.uint8]) -> str:
    """A small picture of an image uint8 (h, w, 3), as a data URI."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return uri(encode(np.asarray(image), 70))
