"""Images of an episode, encoded as PNG or JPEG or not, to uint8 arrays of the size that is cut into patches."""

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_data.image_fit import EpisodeFitter, ImageFit, Images, check_memory, import_cv2
from gato_data.image_header import (
    GRAY,
    JPEG_MAGIC,
    PNG_HEADER_BYTES,
    PNG_MAGIC,
    RGB,
    RGBA,
    EncodedImage,
    ImageHeader,
    check_scans,
    is_palette,
    read_header,
)
from gato_data.image_histogram import PixelCounter

Shape: TypeAlias = tuple[int | None, ...]
Alpha: TypeAlias = Literal["reject", "white", "ask", "newest"]

MAX_PIXELS = 1 << 26
"""Pixels of one image: a larger one is taken for damage, or for an attack on the memory."""

_ALIKE = 8  # levels by which a gray frame differs from the one before it, at most of its pixels
_CHANNELS = {GRAY: "one gray channel", RGB: "three colour channels", RGBA: "four channels, one of them alpha"}


def decode_images(encoded: Sequence[EncodedImage], shape: Shape, *, alpha: Alpha = "reject") -> Images:
    """Decode T >= 1 images of one size.

    Args:
        encoded: PNG or JPEG; pixels are taken as stored, whatever the orientation in an EXIF block.
        shape: declared (height, width, channels), a None side is free; 1 channel is gray, 3 are RGB
            (a gray image is repeated), 4 are as stored.
        alpha: what becomes of a transparent image where 3 channels are declared: an error, or shown
            on white; "ask": shown on white unless the channels may be gray frames; "newest": they
            are, oldest first, and the last one is taken.

    Returns:
        uint8 (T, height, width, channels).

    Raises:
        EpisodeError: an image cannot be decoded, or is not of the declared shape or of the first
            one's size.
    """
    decoder = _ImageDecoder(encoded, shape, alpha)
    check_memory(len(encoded), decoder.shape)
    out = np.empty((len(encoded), *decoder.shape), dtype=np.uint8)
    for index in range(len(encoded)):
        out[index] = decoder.image(index).reshape(decoder.shape)
    return out


def decode_and_fit(
    encoded: Sequence[EncodedImage],
    shape: Shape,
    fit: ImageFit,
    *,
    alpha: Alpha = "reject",
    histogram: NDArray[np.int64] | None = None,
    bgr: bool = False,
) -> Images:
    """Decode and fit T >= 1 images one by one, so that only fitted images are held together.

    Args:
        encoded: as for `decode_images`.
        shape: as for `decode_images`, with 1 or 3 channels.
        fit: the size wanted.
        alpha: as for `decode_images`.
        histogram: int64 (256,), to which the values of all decoded pixels (before fitting) are
            added.
        bgr: whether red and blue change places, which they have done where they were encoded.

    Returns:
        uint8 (T, h, w, 3); gray is repeated, after fitting.

    Raises:
        EpisodeError: as for `decode_images` and `fit_images`.
    """
    decoder = _ImageDecoder(encoded, shape, alpha, bgr=bgr)
    images = (decoder.image(index) for index in range(len(encoded)))
    return _fitted(images, EpisodeFitter(fit, len(encoded), decoder.shape), decoder.shape, histogram)


def fit_images(images: Images, fit: ImageFit, histogram: NDArray[np.int64] | None = None) -> Images:
    """Fit images that are not encoded, one by one.

    Args:
        images: uint8 (T, H, W, C) with C of 1 or 3.
        fit: the size wanted.
        histogram: as for `decode_and_fit`.

    Returns:
        uint8 (T, h, w, 3); gray is repeated.

    Raises:
        EpisodeError: images to be padded are larger than the size, or have other channels.
    """
    count, height, width, channels = images.shape
    shape = (height, width, channels)
    frames = images[..., 0] if channels == GRAY else images
    return _fitted(frames, EpisodeFitter(fit, count, shape), shape, histogram)


def _fitted(
    images: Iterable[Images],
    fitter: EpisodeFitter,
    shape: tuple[int, int, int],
    histogram: NDArray[np.int64] | None,
) -> Images:
    counter = PixelCounter(histogram, shape) if histogram is not None else None
    for index, image in enumerate(images):
        if counter is not None:
            counter.add(image)
        fitter.put(index, image)
    if counter is not None:
        counter.flush()
    return fitter.rgb()


def fit_frames(frames: Iterable[Images], keep: int, fit: ImageFit, *, histogram: NDArray[np.int64]) -> Images:
    """Decode and fit the frames of a video one by one, so that only fitted images are held together.

    All frames are asked for, also those after the first `keep`: whoever counts them says whether
    there are as many as timesteps.

    Args:
        frames: at least one, all of one size.
        keep: how many of them are wanted.
        fit: the size wanted.
        histogram: int64 (256,), to which the values of all pixels that are kept (before fitting)
            are added.

    Returns:
        uint8 (keep, h, w, 3); gray is repeated, after fitting.

    Raises:
        EpisodeError: as for `fit_images`, or a frame cannot be decoded.
    """
    fitter: EpisodeFitter | None = None
    counter: PixelCounter | None = None
    for index, image in enumerate(frames):
        if fitter is None or counter is None:
            shape = (*image.shape[:2], GRAY if image.ndim == 2 else RGB)
            fitter, counter = EpisodeFitter(fit, keep, shape), PixelCounter(histogram, shape)
        if index < keep:
            counter.add(image)
            fitter.put(index, image)
    if fitter is None or counter is None:
        raise EpisodeError("an episode without timesteps has no images", stage="decode")
    counter.flush()
    return fitter.rgb()


def decode_symbols(encoded: Sequence[EncodedImage], shape: Shape) -> Images:
    """Decode T >= 1 images whose pixels are symbols.

    Raises:
        EpisodeError: as for `decode_images`, or an image is no PNG, so that its pixels are not
            exact.
    """
    for index, image in enumerate(encoded):
        if image[:8] != PNG_MAGIC:
            raise EpisodeError(f"the image of timestep {index} is no PNG, which symbols need", stage="decode")
    return decode_images(encoded, shape)


class _ImageDecoder:
    """Decodes the images of one episode, all of them (height, width, channels) = `shape`."""

    def __init__(self, encoded: Sequence[EncodedImage], shape: Shape, alpha: Alpha, *, bgr: bool = False) -> None:
        if len(shape) != 3 or shape[2] not in _CHANNELS:
            raise EpisodeError(f"images of shape {shape} cannot be decoded: 1, 3 or 4 channels can", stage="decode")
        if not len(encoded):
            raise EpisodeError("an episode without timesteps has no images", stage="decode")
        self._cv2 = import_cv2()
        self._encoded = encoded
        self._alpha = alpha
        self._colour = self._cv2.IMREAD_COLOR if bgr else self._cv2.IMREAD_COLOR_RGB
        self._channels: int = GRAY if alpha == "newest" else shape[2]
        self._sides: Shape = shape[:2]
        self._seen = b""
        self._flags = 0
        header = self._check(0)
        self._sides = header[:2]
        self.shape = (header.height, header.width, self._channels)

    def image(self, index: int) -> Images:
        """Image number `index`, uint8 (height, width) if gray, else (height, width, channels)."""
        data = self._encoded[index]
        if data[:PNG_HEADER_BYTES] != self._seen:
            self._check(index)
        try:
            image: Images | None = self._cv2.imdecode(np.frombuffer(data, dtype=np.uint8), self._flags)
        except self._cv2.error as error:
            raise EpisodeError(
                f"the image of timestep {index} cannot be decoded ({error.err})", stage="decode"
            ) from error
        if image is None:
            raise EpisodeError(f"the image of timestep {index} cannot be decoded: it is damaged", stage="decode")
        return self._flatten(image) if self._flags == self._cv2.IMREAD_UNCHANGED else image

    def _check(self, index: int) -> ImageHeader:
        """Check an image's header before it is decoded, and choose how it will be."""
        data = self._encoded[index]
        try:
            header = read_header(data)
        except EpisodeError as error:
            raise EpisodeError(f"the image of timestep {index} cannot be decoded: {error}", stage="decode") from error
        got = f"the image of timestep {index} is {header.height}x{header.width} pixels"
        if any(side is not None and side != found for side, found in zip(self._sides, header[:2], strict=True)):
            raise EpisodeError(f"{got}, {self._sides[0]}x{self._sides[1]} was expected", stage="decode")
        if not 0 < header.height * header.width <= MAX_PIXELS:
            raise EpisodeError(f"{got}, at most {MAX_PIXELS} pixels are decoded", stage="decode")
        if data[:2] == JPEG_MAGIC:
            check_scans(data, header.height * header.width)
        if not self._accepts(header.channels):
            raise EpisodeError(
                f"the image of timestep {index} has {_CHANNELS[header.channels]}, "
                f"{_CHANNELS[RGBA if self._alpha == 'newest' else self._channels]} was expected",
                stage="decode",
            )
        self._flags = self._choose_flags(header.channels)
        is_repeatable = data[:8] == PNG_MAGIC and not is_palette(data)
        self._seen = bytes(data[:PNG_HEADER_BYTES]) if is_repeatable else b""
        return header

    def _accepts(self, channels: int) -> bool:
        if self._alpha == "newest":
            return channels == RGBA
        if RGBA in (channels, self._channels):
            return channels == self._channels or (self._channels == RGB and self._alpha in ("white", "ask"))
        return channels <= self._channels

    def _choose_flags(self, channels: int) -> int:
        if channels == RGBA:
            return int(self._cv2.IMREAD_UNCHANGED)
        colour = self._cv2.IMREAD_GRAYSCALE if self._channels == GRAY else self._colour
        return int(colour | self._cv2.IMREAD_IGNORE_ORIENTATION)

    def _flatten(self, image: Images) -> Images:
        """An image with alpha as declared: its four channels, the last of them, or shown on white."""
        if image.dtype != np.uint8:
            # a PNG of 16 bits: OpenCV keeps those beside an alpha channel
            image = (image >> 8).astype(np.uint8)
        if self._alpha == "newest":
            return np.ascontiguousarray(image[..., RGBA - 1])
        rgba: Images = self._cv2.cvtColor(image, self._cv2.COLOR_BGRA2RGBA)
        if self._channels == RGBA:
            return rgba
        if self._alpha == "ask" and _may_be_stacked(rgba):
            raise EpisodeError(
                "the four channels may be stacked gray frames: --frame-stack newest takes the last of them, none shows "
                "them on white",
                stage="decode",
            )
        return on_white(rgba)


def on_white(rgba: Images) -> Images:
    """Images (..., 4) with an alpha channel as they look on white, uint8 (..., 3)."""
    alpha = rgba[..., 3:].astype(np.uint16)
    blended = (rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return blended.astype(np.uint8)


def _may_be_stacked(rgba: Images) -> bool:
    """Whether a fourth channel is no mask: most of it is half transparent, or like the channel before it where it is.

    An image is opaque or transparent nearly everywhere; frames that follow each other are nearly
    the same.
    """
    alpha = rgba[..., 3]
    between = (alpha > 0) & (alpha < 255)
    count = np.count_nonzero(between)
    alike = np.abs(rgba[..., 2][between].astype(np.int16) - alpha[between]) <= _ALIKE
    return bool(count > 0 and (2 * count > alpha.size or 2 * int(alike.sum()) > count))
