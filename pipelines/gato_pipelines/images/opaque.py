"""The pixels of a photograph of any mode as gray or RGB of 8 bits, with what is transparent on white."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from gato_data.image_fit import import_cv2
from gato_data.image_header import PNG_DEPTH_BYTE

Pixels: TypeAlias = NDArray[np.uint8]

_STRIP_PIXELS = 1 << 22


def opaque_pixels(image: Pillow.Image, data: bytes) -> Pixels:
    """Pixels as stored, uint8 (H, W, 3) or gray (H, W); a large photograph in strips, which take less memory.

    Args:
        image: opened, or decoded already.
        data: what it was opened from.
    """
    key = image.info.get("transparency")
    if image.format == "PNG" and key is not None and image.mode in ("L", "RGB"):
        # of which Pillow keeps 8, and can no longer tell the transparent colour
        if data[PNG_DEPTH_BYTE] == 16:
            return _wide_colour(data)
        image.load()
        image.info["transparency"] = _as_decoded(key, data[PNG_DEPTH_BYTE])
    pixels = _in_strips(image)
    if image.format == "GIF":
        left, top, right, bottom = image.dispose_extent  # type: ignore[attr-defined]
        # the screen around the first frame shows nothing
        if (left, top, right, bottom) != (0, 0, *image.size):
            screen = np.full_like(pixels, 255)
            screen[top:bottom, left:right] = pixels[top:bottom, left:right]
            return screen
    return pixels


def _in_strips(image: Pillow.Image) -> Pixels:
    width, height = image.size
    rows = max(_STRIP_PIXELS // width, 1)
    if rows >= height:
        return _converted(image)
    pixels = None
    for top in range(0, height, rows):
        strip = _converted(image.crop((0, top, width, min(top + rows, height))))
        if pixels is None:
            pixels = np.empty((height, *strip.shape[1:]), np.uint8)
        pixels[top : top + rows] = strip
    assert pixels is not None
    return pixels


def _as_decoded(key: int | tuple[int, ...], depth: int) -> int | tuple[int, ...]:
    """The transparent colour of a PNG of up to 8 bits, which its file gives in its own depth, as pixels show it."""
    largest = (1 << depth) - 1
    if isinstance(key, int):
        return (key & largest) * (255 // largest)
    return tuple((value & largest) * (255 // largest) for value in key)


def _converted(image: Pillow.Image) -> Pixels:
    key = image.info.get("transparency")
    if image.mode.startswith("I;16") or image.mode == "I":  # a PNG of 16 bits
        wide = np.clip(np.asarray(image), 0, 65535)
        pixels = np.asarray(wide >> 8, np.uint8)
        return pixels if key is None else np.where(wide == key, np.uint8(255), pixels)
    if image.mode in ("RGB", "L") and key is None:
        return np.asarray(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Pillow.alpha_composite(Pillow.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _wide_colour(data: bytes) -> Pixels:
    """A colour PNG of 16 bits of which one colour is transparent."""
    cv2 = import_cv2()
    wide = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if wide is None or wide.dtype != np.uint16 or wide.shape[2:] != (4,):
        raise ValueError("a PNG of 16 bits that OpenCV cannot decode")
    pixels = np.asarray(wide[..., 2::-1] >> 8, np.uint8)
    pixels[wide[..., 3] == 0] = 255
    return pixels
