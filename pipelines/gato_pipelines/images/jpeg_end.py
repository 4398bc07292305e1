"""JPEGs that lack nothing but their end marker, which some cameras and downloads leave away."""

import io
import zlib

from PIL import Image as Pillow

JPEG_END = b"\xff\xd9"
_FILLERS = (b"", b"\x55", b"\xaa", b"\x6d", b"\x93")


def with_end(data: bytes) -> bytes | None:
    """A JPEG that ends too early, with an end marker; None where more than that is missing.

    Where every pixel is there, what follows the last one changes nothing. Where some are not, a
    decoder makes them up from whatever follows.
    """
    data = data.removesuffix(JPEG_END[:1])
    first, *others = (_checksum(data + 64 * filler + JPEG_END) for filler in _FILLERS)
    return data + JPEG_END if all(other == first for other in others) else None


def _checksum(data: bytes) -> int:
    with Pillow.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return zlib.crc32(image.tobytes())
