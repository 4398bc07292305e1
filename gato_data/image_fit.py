"""Images to sides that are multiples of a patch."""

from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, MissingPackageError, SettingError
from gato_data.image_header import GRAY, RGB
from gato_schemas.episode import Image
from gato_schemas.sequence import PATCH_SIZE

Images: TypeAlias = NDArray[np.uint8]
FitMode: TypeAlias = Literal["resize", "pad", "crop"]

MAX_EPISODE_BYTES = 1 << 34
"""Bytes of all images of one episode, so that a small record cannot claim all memory."""


@cache
def import_cv2() -> ModuleType:
    """OpenCV on one thread: every worker process has a core of its own.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingPackageError(
            'images need OpenCV: pip install "gato-data[ingest]", or opencv-python-headless alone'
        ) from error
    cv2.setNumThreads(0)
    module: ModuleType = cv2
    return module


@dataclass(frozen=True, slots=True)
class ImageFit:
    """How images get sides that are multiples of 16 pixels.

    "resize" scales each side by itself, so that every patch shows something; "pad" keeps the
    proportions and adds black at the right or bottom; "crop" keeps them and cuts off the ends of
    the longer side. An unscaled "pad" adds black to the image as it is, up to the size or, where a
    side of that is None, to the next multiple of 16.

    Raises:
        SettingError: a side is not a positive multiple of 16, or is missing where it is needed.
    """

    height: int | None = None
    width: int | None = None
    mode: FitMode = "resize"
    scales: bool = True

    def __post_init__(self) -> None:
        modes = ("resize", "pad", "crop") if self.scales else ("resize", "pad")
        if self.mode not in modes:
            raise SettingError(f"no image fit is called {self.mode!r}: use {', '.join(modes[:-1])} or {modes[-1]}")
        if (self.height is None or self.width is None) and (self.scales or self.mode == "resize"):
            raise SettingError(f"image fit {self.mode} needs a size: give the height and width, or use pad")
        for side in (self.height, self.width):
            if side is not None and (side <= 0 or side % PATCH_SIZE):
                raise SettingError(f"an image side of {side} pixels is not a positive multiple of {PATCH_SIZE}")

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the fitted image of one that is (height, width) pixels."""
        return self.height or _round_up(height), self.width or _round_up(width)

    def scaled(self, height: int, width: int) -> tuple[int, int]:
        """Height and width to scale an image to, before it is padded or cropped."""
        target = self.size(height, width)
        if self.mode == "resize":
            return target
        if not self.scales:
            return height, width
        choose = min if self.mode == "pad" else max
        factor = choose(target[0] / height, target[1] / width)
        return max(1, round(height * factor)), max(1, round(width * factor))

    def content(self, height: int, width: int) -> tuple[int, int]:
        """How much of a fitted image, from its top left, shows the image: all unless it is padded."""
        return self.scaled(height, width) if self.mode == "pad" else self.size(height, width)


def _round_up(side: int) -> int:
    return -(-side // PATCH_SIZE) * PATCH_SIZE


def resize(image: Images, size: tuple[int, int], out: Images | None = None) -> Images:
    """Scale an image (H, W) or (H, W, 3): by areas where a side shrinks, then linearly where one grows.

    Args:
        image: uint8.
        size: height and width.
        out: of that size, where to put the result; a new array if None.
    """
    cv2 = import_cv2()
    height, width = image.shape[:2]
    shrunk = (min(height, size[0]), min(width, size[1]))
    if shrunk != (height, width):
        into = out if shrunk == size else None
        image = cv2.resize(image, shrunk[::-1], dst=into, interpolation=cv2.INTER_AREA)
    if shrunk != size:
        image = cv2.resize(image, size[::-1], dst=out, interpolation=cv2.INTER_LINEAR)
    elif out is not None and image is not out:
        out[...] = image
    return image


def placed(pixels: Images, fit: ImageFit) -> Image:
    """A photograph (h, w, 3) that was scaled to `fit.scaled`, padded or cropped to the fit's size."""
    height, width = pixels.shape[:2]
    target = fit.size(height, width)
    if (height, width) == target:
        return Image(pixels)
    if fit.mode == "pad":
        padded = np.zeros((*target, 3), np.uint8)
        padded[:height, :width] = pixels
        return Image(padded, (height, width))
    top, left = (height - target[0]) // 2, (width - target[1]) // 2
    return Image(np.ascontiguousarray(pixels[top : top + target[0], left : left + target[1]]))


def check_memory(count: int, shape: tuple[int, int, int]) -> None:
    """Check that `count` images of a shape can be held.

    Raises:
        EpisodeError: they take more than `MAX_EPISODE_BYTES`.
    """
    size = count * shape[0] * shape[1] * shape[2]
    if size > MAX_EPISODE_BYTES:
        raise EpisodeError(f"{count} frames of {shape} take {size} bytes, at most {MAX_EPISODE_BYTES} are held")


class EpisodeFitter:
    """Resizes or pads `count` images of one shape, one by one, into one array."""

    def __init__(self, fit: ImageFit, count: int, shape: tuple[int, int, int]) -> None:
        height, width, channels = shape
        if channels not in (GRAY, RGB):
            raise EpisodeError(f"frames with {channels} channels cannot be made RGB: gray or RGB was expected")
        size = fit.size(height, width)
        self._content = fit.content(height, width)
        if self._content[0] > size[0] or self._content[1] > size[1]:
            raise EpisodeError(f"frames of {height}x{width} pixels cannot be padded to {size[0]}x{size[1]}: use resize")
        check_memory(count, (*size, RGB))
        channel = () if channels == GRAY else (RGB,)
        self._out = np.zeros((count, *size, *channel), dtype=np.uint8)

    def put(self, index: int, image: Images) -> None:
        """Fit image number `index`, uint8 (H, W) or (H, W, 3)."""
        height, width = self._content
        resize(image, self._content, self._out[index, :height, :width])

    def rgb(self) -> Images:
        """All fitted images, uint8 (T, h, w, 3)."""
        if self._out.ndim == 4:
            return self._out
        cv2 = import_cv2()
        count, height, width = self._out.shape
        rows = self._out.reshape(count * height, width)
        rgb: Images = cv2.cvtColor(rows, cv2.COLOR_GRAY2RGB)
        return rgb.reshape(count, height, width, RGB)
