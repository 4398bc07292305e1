"""Images as data URIs, within a budget of bytes."""

import base64
import io

import numpy as np
from numpy.typing import NDArray

_QUALITIES = (85, 60, 30)


def data_uri(pixels: NDArray[np.uint8], budget: int) -> tuple[str, bool]:
    """An image uint8 (h, w, 3) as a WebP data URI, and whether it is exact.

    Exact where that takes at most `budget` bytes, else with loss, coarser until it fits or nothing coarser is left.
    """
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels))
    data = _encode(image, lossless=True, quality=75)
    if len(data) <= budget:
        return _uri(data), True
    for quality in _QUALITIES:
        data = _encode(image, lossless=False, quality=quality)
        if len(data) <= budget:
            break
    return _uri(data), False


def _encode(image: object, *, lossless: bool, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", lossless=lossless, quality=quality, method=4)  # type: ignore[attr-defined]
    return out.getvalue()


def _uri(data: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(data).decode("ascii")
