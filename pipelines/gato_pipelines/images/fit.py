"""Frames to sides that are multiples of a patch."""

from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, MissingPackageError, SettingError
from gato_pipelines.images.header import GRAY, RGB
from gato_schemas.sequence import PATCH_SIZE

Frames: TypeAlias = NDArray[np.uint8]

MAX_EPISODE_BYTES = 1 << 34
"""Bytes of all frames of one episode, so that a small record cannot claim all memory."""


@cache
def import_cv2() -> ModuleType:
    """OpenCV on one thread: every worker process has a core of its own.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingPackageError('images need OpenCV: pip install "gato-data[ingest]"') from error
    cv2.setNumThreads(0)
    module: ModuleType = cv2
    return module


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFit:
    """How frames get sides that are multiples of 16 pixels.

    "resize" scales to (height, width): by pixel areas where a side shrinks, then linearly where a side grows.
    "pad" adds black pixels at the right and bottom, up to (height, width) or, where those are None, to the next
    multiple of 16.

    Raises:
        SettingError: a side is not a positive multiple of 16, or is missing although the mode is "resize".
    """

    height: int | None = None
    width: int | None = None
    mode: Literal["resize", "pad"] = "resize"

    def __post_init__(self) -> None:
        if self.mode not in ("resize", "pad"):
            raise SettingError(f"no image fit is called {self.mode!r}: use resize or pad")
        if self.mode == "resize" and (self.height is None or self.width is None):
            raise SettingError("image fit resize needs a size: give the height and width, or use pad")
        for side in (self.height, self.width):
            if side is not None and (side <= 0 or side % PATCH_SIZE):
                raise SettingError(f"an image side of {side} pixels is not a positive multiple of {PATCH_SIZE}")

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the fitted frame of one that is (height, width) pixels."""
        return self.height or _round_up(height), self.width or _round_up(width)

    def content(self, height: int, width: int) -> tuple[int, int]:
        """How much of a fitted frame, from its top left, shows the frame: all of it unless it is padded."""
        return self.size(height, width) if self.mode == "resize" else (height, width)

    def apply(self, frames: Frames) -> Frames:
        """Fit frames (T, H, W, C) with C of 1 or 3 to RGB frames (T, h, w, 3); gray is repeated.

        Raises:
            EpisodeError: frames to be padded are larger than the size, or have another number of channels.
        """
        count, height, width, channels = frames.shape
        fitter = FrameFitter(self, count, (height, width, channels))
        for index, frame in enumerate(frames[..., 0] if channels == GRAY else frames):
            fitter.put(index, frame)
        return fitter.rgb()


def _round_up(side: int) -> int:
    return -(-side // PATCH_SIZE) * PATCH_SIZE


def check_memory(count: int, shape: tuple[int, int, int]) -> None:
    """Check that `count` frames of a shape can be held.

    Raises:
        EpisodeError: they take more than `MAX_EPISODE_BYTES`.
    """
    size = count * shape[0] * shape[1] * shape[2]
    if size > MAX_EPISODE_BYTES:
        raise EpisodeError(f"{count} frames of {shape} take {size} bytes, at most {MAX_EPISODE_BYTES} are held")


class FrameFitter:
    """Fits `count` frames of one shape, one by one, into one array."""

    def __init__(self, fit: ImageFit, count: int, shape: tuple[int, int, int]) -> None:
        height, width, channels = shape
        if channels not in (GRAY, RGB):
            raise EpisodeError(f"frames with {channels} channels cannot be made RGB: gray or RGB was expected")
        self._cv2 = import_cv2()
        self._size = fit.size(height, width)
        if fit.mode == "pad" and (height > self._size[0] or width > self._size[1]):
            raise EpisodeError(
                f"frames of {height}x{width} pixels cannot be padded to {self._size[0]}x{self._size[1]}: use resize"
            )
        check_memory(count, (*self._size, RGB))
        self._is_padded = fit.mode == "pad"
        self._shrunk = (min(height, self._size[0]), min(width, self._size[1]))
        self._source = (height, width)
        channel = () if channels == GRAY else (RGB,)
        self._out = np.zeros((count, *self._size, *channel), dtype=np.uint8)

    def put(self, index: int, frame: Frames) -> None:
        """Fit frame number `index`, uint8 (H, W) or (H, W, 3)."""
        if self._is_padded or self._source == self._size:
            self._out[index, : self._source[0], : self._source[1]] = frame
        elif self._shrunk == self._size:
            self._resize(frame, self._out[index], self._cv2.INTER_AREA)
        else:
            if self._shrunk != self._source:
                frame = self._resize(frame, None, self._cv2.INTER_AREA)
            self._resize(frame, self._out[index], self._cv2.INTER_LINEAR)

    def _resize(self, frame: Frames, out: Frames | None, interpolation: int) -> Frames:
        height, width = self._shrunk if out is None else self._size
        resized: Frames = self._cv2.resize(frame, (width, height), dst=out, interpolation=interpolation)
        return resized

    def rgb(self) -> Frames:
        """All fitted frames, uint8 (T, h, w, 3)."""
        if self._out.ndim == 4:
            return self._out
        count, height, width = self._out.shape
        rows = self._out.reshape(count * height, width)
        rgb: Frames = self._cv2.cvtColor(rows, self._cv2.COLOR_GRAY2RGB)
        return rgb.reshape(count, height, width, RGB)
