"""Encoded photographs to RGB arrays of one size.

Unlike the frames of a simulator, photographs come in any size and mode, turned by EXIF, and from
anywhere: the header is read first, and nothing is decoded that is too large, too small to show
anything, or of a format not expected.
"""

import io
import struct
import warnings
import zlib

import numpy as np
import PIL
from PIL import Image as Pillow
from PIL import PngImagePlugin, features

from gato_data.errors import EpisodeError
from gato_data.image_fit import ImageFit, import_cv2, placed, resize
from gato_data.image_header import JPEG_MAGIC, check_scans
from gato_pipelines.files.git_lfs import POINTER, is_pointer
from gato_pipelines.images.jpeg_end import JPEG_END, with_end
from gato_pipelines.images.opaque import opaque_pixels
from gato_pipelines.images.orientation import orientation
from gato_schemas.episode import Image
from gato_schemas.sequence import PATCH_SIZE

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MAX_ENCODED_BYTES = 1 << 26
"""Bytes of one encoded photograph."""
MAX_IMAGE_PIXELS = 1 << 26
"""Pixels of one photograph: a larger one is taken for an attack on the memory."""
MAX_TEXT_BYTES = 1 << 26
"""Bytes of all texts and profiles that a photograph carries;
editing programs leave several megabytes."""
MIN_SIDE = PATCH_SIZE
"""Pixels of the shorter side: less than a patch shows nothing (tracking pixels, rules, spacers)."""
MAX_ASPECT = 10
"""Longer side divided by the shorter one: beyond it are banners and rules,
which no square can show."""

_TURNS = {2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True), 6: (3, False), 7: (1, True), 8: (1, False)}
"""EXIF orientation: quarter turns anticlockwise, then whether left and right are swapped."""
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = MAX_TEXT_BYTES
# what is wrong with an image is said by its dead letter
warnings.filterwarnings("ignore", module=r"PIL\.")
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError)
"""What Pillow raises for damaged files of one format or another."""


def decode_image(data: bytes, fit: ImageFit) -> Image:
    """Decode and fit one photograph: turned as EXIF or XMP say, alpha shown on white, gray repeated, CMYK as RGB.

    A JPEG much larger than wanted is decoded at a half, quarter or eighth of its size, never below
    the size wanted.

    Raises:
        EpisodeError: the bytes are no photograph, damaged, or of a size that is refused.
    """
    if len(data) > MAX_ENCODED_BYTES:
        raise EpisodeError(f"the image file is larger than {MAX_ENCODED_BYTES >> 20} MiB", stage="decode")
    if is_pointer(data):
        raise EpisodeError(f"the image is {POINTER}", stage="decode")
    try:
        return _decoded(data, fit)
    except Pillow.DecompressionBombError as error:
        raise _too_large() from error
    except PIL.UnidentifiedImageError as error:
        raise EpisodeError(f"the file is no image ({', '.join(FORMATS)} can be read)", stage="decode") from error
    except _DAMAGE as error:
        raise EpisodeError(_reason(error), stage="decode") from error


def _decoded(data: bytes, fit: ImageFit) -> Image:
    try:
        with Pillow.open(io.BytesIO(data), formats=FORMATS) as image:
            return _fitted(image, data, fit)
    except OSError:
        whole = with_end(data) if data[:2] == JPEG_MAGIC and not data.endswith(JPEG_END) else None
        if whole is None:
            raise
        return _decoded(whole, fit)


def _reason(error: Exception) -> str:
    if "MAX_TEXT" in str(error):
        return f"the image carries texts of more than {MAX_TEXT_BYTES >> 20} MiB"
    return "the image is cut off" if "truncated" in str(error) else "the image is damaged"


def _too_large() -> EpisodeError:
    return EpisodeError(f"the image has more than {MAX_IMAGE_PIXELS:,} pixels", stage="decode")


def _fitted(image: Pillow.Image, data: bytes, fit: ImageFit) -> Image:
    width, height = image.size
    if width * height > MAX_IMAGE_PIXELS:
        raise _too_large()
    if min(width, height) < MIN_SIDE:
        raise EpisodeError(f"the image's shorter side has less than {MIN_SIDE} pixels", stage="decode")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise EpisodeError(f"the image is more than {MAX_ASPECT} times as long as it is wide", stage="decode")
    if data[:2] == JPEG_MAGIC:
        check_scans(data, width * height)
    turns, mirrored = _TURNS.get(orientation(image, _DAMAGE), (0, False))
    seen = (width, height) if turns % 2 else (height, width)
    scaled = fit.scaled(*seen)
    stored = scaled[::-1] if turns % 2 else scaled
    if image.format == "JPEG":
        image.draft(None, (stored[1], stored[0]))
    pixels = np.rot90(resize(opaque_pixels(image, data), stored), turns)
    pixels = np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels)
    return placed(pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2), fit)


def image_libraries() -> dict[str, str]:
    """Versions of what decodes and scales photographs."""
    found = {"opencv": str(import_cv2().__version__), "pillow": PIL.__version__}
    for name, feature in (("libjpeg-turbo", "libjpeg_turbo"), ("libwebp", "webp")):
        version = features.version(feature)
        if version:
            found[name] = version
    return found
