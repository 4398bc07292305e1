"""Transparency on white in every mode that a photograph can have."""

import io
import struct

import numpy as np
import PIL.Image
import pytest

from gato_data.image_fit import ImageFit
from gato_pipelines.images import opaque
from gato_pipelines.images.document import decode_image
from tests.png_files import COLOUR, COLOUR_ALPHA, GRAY, GRAY_ALPHA, PALETTE, make_png

FIT = ImageFit(16, 32)
WHITE = [255, 255, 255]


def halves(left: object, right: object) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Samples of a picture of 16x32 pixels: its left half and its right half."""
    return np.array([[left] * 16 + [right] * 16] * 16, np.int64)


def shown(data: bytes) -> list[list[int]]:
    """A pixel of the left and one of the right half."""
    pixels = decode_image(data, FIT).pixels
    return [pixels[3, 2].tolist(), pixels[3, 30].tolist()]


@pytest.mark.parametrize(("depth", "key", "other"), [(1, 1, 0), (2, 1, 3), (4, 7, 15), (8, 100, 101), (16, 1000, 1001)])
def test_the_transparent_gray_of_a_png(depth: int, key: int, other: int) -> None:
    data = make_png(halves(other, key), depth, GRAY, before=[(b"tRNS", struct.pack(">H", key))])
    gray = other * 255 // ((1 << depth) - 1) if depth < 16 else other >> 8
    assert shown(data) == [[gray] * 3, WHITE]


@pytest.mark.parametrize(("depth", "one"), [(8, 1), (16, 257)])
def test_the_transparent_colour_of_a_png(depth: int, one: int) -> None:
    key, other = (10 * one, 20 * one, 30 * one), (10 * one, 20 * one, 30 * one + 1)
    data = make_png(halves(other, key), depth, COLOUR, before=[(b"tRNS", struct.pack(">HHH", *key))])
    assert shown(data) == [[10, 20, 31 if depth == 8 else 30], WHITE]


@pytest.mark.parametrize("strip", [1 << 22, 7 * 32])
def test_strips_know_the_transparent_colour(strip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opaque, "_STRIP_PIXELS", strip)
    data = make_png(halves(3, 1), 2, GRAY, before=[(b"tRNS", struct.pack(">H", 1))])
    assert shown(data) == [WHITE, WHITE]
    data = make_png(halves(0, 1), 2, GRAY, before=[(b"tRNS", struct.pack(">H", 1))])
    assert shown(data) == [[0, 0, 0], WHITE]


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize(("alphas", "wanted"), [(b"\xff\x00", WHITE), (b"\x00\xff", [0, 0, 255]), (b"\xff\x80", None)])
def test_the_transparent_entries_of_a_palette(depth: int, alphas: bytes, wanted: list[int] | None) -> None:
    palette = [(b"PLTE", bytes([255, 0, 0, 0, 0, 255])), (b"tRNS", alphas)]
    left, right = shown(make_png(halves(0, 1), depth, PALETTE, before=palette))
    assert left == (WHITE if alphas[0] == 0 else [255, 0, 0])
    assert right == (wanted or [127, 127, 255])


@pytest.mark.parametrize(("depth", "full"), [(8, 255), (16, 65535)])
def test_alpha_channels(depth: int, full: int) -> None:
    half = full // 255 * 51
    gray = make_png(halves((half, full), (half, 0)), depth, GRAY_ALPHA)
    assert shown(gray) == [[51] * 3, WHITE]
    colour = make_png(halves((half, 0, 0, full), (half, 0, 0, 0)), depth, COLOUR_ALPHA)
    assert shown(colour) == [[51, 0, 0], WHITE]


@pytest.mark.parametrize(("kind", "mode"), [("GIF", "RGBA"), ("WEBP", "RGBA"), ("WEBP", "LA")])
def test_other_formats(kind: str, mode: str) -> None:
    image = PIL.Image.new("RGBA", (32, 16), (0, 0, 0, 255))
    image.paste((90, 90, 90, 0), (16, 0, 32, 16))
    data = io.BytesIO()
    image.convert(mode).save(data, kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert shown(data.getvalue()) == [[0, 0, 0], WHITE]


@pytest.mark.parametrize("strip", [1 << 22, 7 * 32])
def test_a_gif_whose_first_frame_is_smaller_than_its_screen(strip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opaque, "_STRIP_PIXELS", strip)
    data = io.BytesIO()
    PIL.Image.new("RGB", (16, 16), (200, 0, 0)).save(data, "GIF")
    gif = bytearray(data.getvalue())
    frame = gif.index(b",")
    gif[6:8] = struct.pack("<H", 32)  # the screen's width
    gif[frame + 1 : frame + 3] = struct.pack("<H", 16)  # where the frame begins
    assert shown(bytes(gif)) == [WHITE, [200, 0, 0]]


def test_a_gray_gif_with_a_transparent_entry() -> None:
    image = PIL.Image.fromarray(halves(80, 200).astype(np.uint8))
    data = io.BytesIO()
    image.save(data, "GIF", transparency=200)
    assert shown(data.getvalue()) == [[80] * 3, WHITE]
