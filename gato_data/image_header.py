"""What an encoded image says of itself, read before any of it is decoded."""

import re
import struct
from typing import NamedTuple, TypeAlias

from gato_data.errors import EpisodeError

EncodedImage: TypeAlias = bytes | bytearray | memoryview

GRAY, RGB, RGBA = 1, 3, 4
"""Channels of an image."""

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8"
PNG_DEPTH_BYTE = 24
"""Where a PNG says how many bits its samples have."""
PNG_HEADER_BYTES = 26
"""Bytes of a PNG up to its colour type: where they are equal,
so are the headers (but for palettes)."""

MAX_SCANS = 100
"""Scans of one JPEG: progressive encoders write ten or so, those that search for the fewest bytes a few dozen. Each
takes the time of a whole image, however few bytes it has."""
_MAX_SCANNED_PIXELS = 1 << 30
_USUAL_SCANS = 24
"""Those of libjpeg's own scripts: images of any size may have them."""

_PNG_HEADER = struct.Struct(">4sIIBB")
_PNG_CHANNELS = {0: GRAY, 2: RGB, 3: RGB, 4: RGBA, 6: RGBA}
_PNG_PALETTE = 3
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset(range(0xD0, 0xD9)) | {0x01}
_SEGMENT = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")  # a marker with a length, or the end
_SCAN, _END = b"\xff\xda", b"\xff\xd9"
_MAX_SEGMENTS = 1000  # before the frame header: far more than any camera writes


class ImageHeader(NamedTuple):
    """Sides in pixels, and 1 (gray), 3 (colour) or 4 (with alpha) channels."""

    height: int
    width: int
    channels: int


def read_header(data: EncodedImage) -> ImageHeader:
    """Read the header of a PNG or JPEG.

    Raises:
        EpisodeError: the bytes are neither.
    """
    if data[:8] == PNG_MAGIC:
        return _png_header(data)
    if data[:2] == JPEG_MAGIC:
        return _jpeg_header(data)
    raise EpisodeError(f"{len(data)} bytes that are neither a PNG nor a JPEG image", stage="decode")


def _png_header(data: EncodedImage) -> ImageHeader:
    if len(data) < PNG_HEADER_BYTES:
        raise EpisodeError("a PNG that is cut off", stage="decode")
    name, width, height, _, colour = _PNG_HEADER.unpack_from(data, 12)
    if name != b"IHDR" or colour not in _PNG_CHANNELS:
        raise EpisodeError("a PNG with a damaged header", stage="decode")
    if colour == _PNG_PALETTE and _has_transparency(data):
        return ImageHeader(height, width, RGBA)
    return ImageHeader(height, width, _PNG_CHANNELS[colour])


def is_palette(data: EncodedImage) -> bool:
    """Whether a PNG (whose header was read) has a palette, whose transparency lies behind the header."""
    return bool(data[PNG_HEADER_BYTES - 1] == _PNG_PALETTE)


def _has_transparency(data: EncodedImage) -> bool:
    """Whether a PNG has a tRNS chunk before its pixels."""
    at = 8
    for _ in range(_MAX_SEGMENTS):
        if at + 8 > len(data):
            break
        length, name = struct.unpack_from(">I4s", data, at)
        if name in (b"tRNS", b"IDAT"):
            return bool(name == b"tRNS")
        at += 12 + length
    return False


def _jpeg_header(data: EncodedImage) -> ImageHeader:
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if at + 9 >= len(data) or data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker in _SOF:
            height, width, components = struct.unpack_from(">HHB", data, at + 5)
            return ImageHeader(height, width, GRAY if components == 1 else RGB)
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + (data[at + 2] << 8 | data[at + 3])
    raise EpisodeError("a JPEG without a frame header", stage="decode")


def check_scans(data: EncodedImage, pixels: int) -> None:
    """Check that a JPEG of so many pixels can be decoded in the time that its size promises.

    Raises:
        EpisodeError: it has more than `MAX_SCANS` scans, or fewer if it is large.
    """
    data, most = bytes(data), max(min(MAX_SCANS, _MAX_SCANNED_PIXELS // pixels), _USUAL_SCANS)
    if data.count(_SCAN) <= most:  # also counts what metadata hold, and images behind the end
        return
    at, scans = len(JPEG_MAGIC), 0
    while (found := _SEGMENT.search(data, at)) and found[0] != _END and found.end() + 2 <= len(data):
        scans += found[0] == _SCAN
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
        if scans > most:
            raise EpisodeError(f"the JPEG has more than {most} scans", stage="decode")
