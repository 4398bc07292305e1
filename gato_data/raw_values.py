"""Raw values of one timestep, as an environment gives and takes them, to what the tokenizers take.

What a dataset stores has been cast to the dtype of its field, and its images to one size; so are live values, by the
same code. What does not fit is refused, both sides named.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, SettingError
from gato_data.image_decoding import Alpha, Shape, decode_and_fit, decode_symbols, fit_images, on_white
from gato_data.image_fit import ImageFit, Images
from gato_data.image_header import GRAY, RGB, RGBA
from gato_data.vocabulary import DISCRETE_VALUES
from gato_schemas.dataset import ImageInfo
from gato_schemas.episode import Field

_ENCODED = (bytes, bytearray, memoryview)


def numpy_dtype(field: Field) -> np.dtype[Any] | None:
    """The dtype of a tensor field's raw values; None where it is unknown."""
    try:
        dtype = np.dtype(field.dtype or "V")
    except TypeError:
        return None
    return dtype if dtype.kind in "biuf" else None


def raw_text(value: Any, label: str) -> str:
    """A text.

    Raises:
        EpisodeError: it is none.
    """
    if not isinstance(value, str):
        raise EpisodeError(f"{label} is of type {type(value).__name__}: a text (str) is wanted")
    return value


def raw_numbers(value: Any, field: Field, label: str, values: int = DISCRETE_VALUES) -> NDArray[Any]:
    """The numbers of one value, (*field.shape) in the dtype that the dataset has them in.

    Args:
        value: what numpy makes an array of; or the PNG of a grid of symbols.
        field: discrete or continuous.
        label: what it is called in errors.
        values: how many a discrete field has, from `field.start` on.

    Raises:
        EpisodeError: it is of another shape or dtype, out of range, or not finite.
    """
    if isinstance(value, _ENCODED):
        return _symbols(value, field, label)
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise EpisodeError(f"{label} has rows of different lengths: the shape {field.shape} is wanted") from error
    if found.dtype.kind not in "biuf":
        raise EpisodeError(f"{label} is of type {found.dtype}: {field.dtype or 'numbers'} is wanted")
    if found.shape != field.shape:
        raise EpisodeError(f"{label} has the shape {found.shape}: {field.shape} is wanted")
    return _whole(found, field, label, values) if field.modality == "discrete" else _finite(found, field, label)


def _symbols(value: Any, field: Field, label: str) -> NDArray[Any]:
    if field.modality != "discrete" or len(field.shape) != 3:
        raise EpisodeError(f"{label} is of type {type(value).__name__}: numbers of shape {field.shape} are wanted")
    try:
        decoded = decode_symbols([value], field.shape)
    except EpisodeError as error:
        raise EpisodeError(f"{label}: {error}", stage=error.stage) from error
    symbols: Images = decoded[0]
    return symbols


def _whole(found: NDArray[Any], field: Field, label: str, values: int) -> NDArray[Any]:
    dtype = numpy_dtype(field)
    if found.dtype.kind == "f" and dtype is not None and dtype.kind != "f":
        raise EpisodeError(f"{label} is of type {found.dtype}: {field.dtype} is wanted")
    first, end = field.start, field.start + values
    if dtype is not None and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        first, end = max(first, int(limits.min)), min(end, int(limits.max) + 1)
    good = (found >= first) & (found < end)  # false for NaN
    good &= found == np.floor(found) if found.dtype.kind == "f" else True
    if not np.all(good):
        raise EpisodeError(f"{label} is {_first(found, good)}: an integer in [{first}, {end}) is wanted")
    return found


def _finite(found: NDArray[Any], field: Field, label: str) -> NDArray[Any]:
    dtype = numpy_dtype(field)
    cast = found
    if dtype is not None and dtype.kind == "f":
        with np.errstate(over="ignore"):  # becomes infinite, which is refused
            cast = found.astype(dtype)
    good = np.isfinite(cast)
    if not np.all(good):
        raise EpisodeError(f"{label} is {_first(found, good)}: a finite number of {cast.dtype} is wanted")
    return cast


def _first(found: NDArray[Any], good: NDArray[np.bool_]) -> str:
    """The first value that is not good, and where it is."""
    if not found.ndim:
        return str(found[()])
    place = tuple(int(i) for i in np.unravel_index(int(np.argmin(good)), found.shape))
    return f"{found[place]} in element {list(place)}"


def given(values: NDArray[Any], field: Field) -> NDArray[Any]:
    """Decoded values (*field.shape) in the field's dtype; whole where that is one of integers."""
    dtype = numpy_dtype(field)
    whole = dtype is not None and dtype.kind in "biu" and values.dtype.kind == "f"
    return np.asarray(np.rint(values) if whole else values, dtype)


class RawImages:
    """Raw images of one field to images of the size that is cut into patches, as ingest fits them.

    Args:
        field: an image field.
        info: what ingest knew of its raw images; None where the source gave fitted ones.
        label: what it is called in errors.

    Raises:
        SettingError: they do not go together.
    """

    def __init__(self, field: Field, info: ImageInfo | None, label: str) -> None:
        if len(field.shape) != 3 or field.shape[2] != RGB:
            raise SettingError(f"{label} has the shape {field.shape}: an image of shape (H, W, 3) is wanted")
        size = field.shape[0], field.shape[1]
        self._label, self._is_fitted = label, info is None
        self._info = info or _fitted_already(field, size)
        self._fit = ImageFit(*self._info.size, self._info.mode, self._info.scales)
        height, width = self._info.shape[:2]
        if self._fit.size(height or size[0], width or size[1]) != size:
            raise SettingError(f"{label} is fitted to {self._info.size}, but its patches are cut of {size}")

    def fitted(self, value: Any) -> Images:
        """One image, uint8 (1, H, W, 3).

        Args:
            value: uint8 (height, width, channels), or without channels where it is gray; several
                such frames where the field stacks them; or the bytes of a PNG or JPEG.

        Raises:
            EpisodeError: it is of another size, has other channels, or cannot be decoded.
        """
        try:
            return self._decoded(value) if isinstance(value, _ENCODED) else fit_images(self._frame(value), self._fit)
        except EpisodeError as error:
            if str(error).startswith(self._label):
                raise
            raise EpisodeError(f"{self._label}: {error}", stage=error.stage) from error

    def _decoded(self, value: Any) -> Images:
        height, width, channels = self._info.shape
        shape: Shape = (height, width, RGB if channels == RGBA else channels)
        alpha: Alpha = "white"
        if self._info.frames == RGBA and not self._info.frames_first:  # four gray frames, stored as one picture
            shape, alpha = (height, width, RGBA), "newest"
        return decode_and_fit([value], shape, self._fit, alpha=alpha)

    def _frame(self, value: Any) -> Images:
        found = np.asarray(value)
        if found.dtype != np.uint8:
            raise EpisodeError(f"{self._label} is of type {found.dtype}: pixels of type uint8 are wanted")
        frame = found
        if self._may_stack(found):
            frame = found[-1] if self._info.frames_first else found[..., -1]
        if frame.ndim == 2 and self._info.shape[2] == GRAY:
            frame = frame[..., None]
        if not _fits(frame.shape, self._info.shape):
            raise EpisodeError(f"{self._label} has the shape {found.shape}: {self._wanted()}")
        frame = np.ascontiguousarray(frame)
        return (on_white(frame) if self._info.shape[2] == RGBA else frame)[None]

    def _may_stack(self, found: NDArray[Any]) -> bool:
        frames, shape = self._info.frames, self._info.shape
        if self._info.frames_first:
            inner = (found.shape[1:], (*found.shape[1:], GRAY))
            return found.ndim in (3, 4) and found.shape[0] == frames and any(_fits(each, shape) for each in inner)
        return frames > 1 and found.shape[2:] == (frames,) and _fits((*found.shape[:2], GRAY), shape)

    def _wanted(self) -> str:
        sides = ", ".join("any" if side is None else str(side) for side in self._info.shape)
        if self._info.frames_first or self._info.frames > 1:
            where = "first" if self._info.frames_first else "last"
            return f"({sides}), or {self._info.frames} such frames along the {where} axis, is wanted"
        if self._is_fitted:
            return f"({sides}) is wanted (its dataset does not say how it was fitted)"
        return f"({sides}) is wanted"


def _fitted_already(field: Field, size: tuple[int, int]) -> ImageInfo:
    """What is known of raw images of which a dataset does not say it."""
    height, width = field.content or size
    return ImageInfo(shape=(height, width, 3), mode="pad" if field.content else "resize", scales=False, size=size)


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    """Whether a frame has the sides that are wanted, none of them empty."""
    if len(shape) != len(wanted):
        return False
    return all(side > 0 and wish in (None, side) for side, wish in zip(shape, wanted, strict=True))
