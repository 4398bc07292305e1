"""Which way up a photograph is shown: EXIF, XMP, and the raw profiles that ImageMagick writes into PNGs."""

import re
from collections.abc import Iterator
from typing import Any

from PIL import Image as Pillow

_TAG = 0x0112
_XMP_TAG = re.compile(rb"""tiff:Orientation\s*(?:=\s*["']|>)\s*([1-8])(?!\d)""")
_EXIF_PROFILES = ("Raw profile type exif", "Raw profile type APP1")
_XMP_TEXTS = ("xmp", "XML:com.adobe.xmp")
_XMP_PROFILES = ("Raw profile type xmp", "Raw profile type APP1")


def orientation(image: Pillow.Image, damage: tuple[type[Exception], ...]) -> int:
    """1 to 8, as EXIF numbers them: what EXIF says, else XMP; 1 where neither does or can be read.

    Args:
        image: opened; a PNG is decoded, since what it says may stand behind its pixels.
        damage: what Pillow raises for EXIF that cannot be read.
    """
    if image.format == "PNG":
        image.load()
    for block in _exif_blocks(image.info):
        try:
            exif = Pillow.Exif()
            exif.load(block)
            value = exif.get(_TAG)
        except damage:
            continue
        if value is not None:
            return value if isinstance(value, int) else 1
    found = (_XMP_TAG.search(text) for text in _xmp_texts(image.info))
    return next((int(match[1]) for match in found if match), 1)


def _exif_blocks(info: dict[Any, Any]) -> Iterator[bytes]:
    if isinstance(block := info.get("exif"), bytes):
        yield block
    yield from (_profile(info[name]) for name in _EXIF_PROFILES if name in info)


def _xmp_texts(info: dict[Any, Any]) -> Iterator[bytes]:
    for name in _XMP_TEXTS:
        if name in info:
            text = info[name]
            yield text.encode(errors="replace") if isinstance(text, str) else bytes(text)
    yield from (_profile(info[name]) for name in _XMP_PROFILES if name in info)


def _profile(text: Any) -> bytes:
    """The bytes of a raw profile: its name and its size, each on a line, then hexadecimal digits."""
    try:
        return bytes.fromhex(str(text).lstrip("\n").split("\n", 2)[2])
    except (IndexError, ValueError):
        return b""
