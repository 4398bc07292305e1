"""Photographs of every kind, turned, transparent, damaged, tiny, huge."""

import io
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageOps

from gato_data.errors import EpisodeError, SettingError
from gato_data.image_fit import ImageFit, placed
from gato_pipelines.images import document as photos
from gato_pipelines.images import opaque
from gato_pipelines.images.document import decode_image, image_libraries
from tests.document_inputs import NAMES, photo
from tests.png_files import COLOUR, GRAY, make_png

FIT = ImageFit(64, 64)
MODES = {
    "JPEG": ("L", "RGB", "CMYK", "YCbCr"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "WEBP": ("L", "LA", "RGB", "RGBA"),
    "GIF": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
}


def encode(image: PIL.Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def open_photo(name: str) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(photo(name)))


def reference(image: PIL.Image.Image, size: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What Pillow itself makes of an RGB image, at the full cost."""
    scaled = image.convert("RGB").resize((size[1], size[0]), PIL.Image.Resampling.BOX)
    return np.asarray(scaled).astype(float)


def difference(found: Any, wanted: Any) -> float:
    return float(np.abs(found.astype(float) - wanted).mean())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(64, 64), (192, 192), (160, 224)])
def test_a_photograph_looks_as_pillow_would_have_it(name: str, size: tuple[int, int]) -> None:
    found = decode_image(photo(name), ImageFit(*size))
    assert found.pixels.shape == (*size, 3)
    assert found.pixels.dtype == np.uint8
    assert found.content is None
    assert difference(found.pixels, reference(open_photo(name), size)) < 4


def test_the_same_bytes_give_the_same_pixels() -> None:
    first, second = (decode_image(photo("cat"), FIT).pixels for _ in range(2))
    assert (first == second).all()


@pytest.mark.parametrize(
    ("kind", "mode"),
    [(kind, mode) for kind, modes in MODES.items() for mode in modes],
)
def test_every_mode_that_a_format_can_hold(mode: str, kind: str) -> None:
    image = open_photo("cat")
    data = encode(image.convert(mode), kind)
    wanted = reference(image.convert(mode).convert("RGB"), (64, 64))
    assert difference(decode_image(data, FIT).pixels, wanted) < 8


def test_gray_is_the_same_in_all_channels() -> None:
    pixels = decode_image(photo("camera"), FIT).pixels
    assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_is_shown_on_white(mode: str) -> None:
    image = PIL.Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 32, 64))
    data = encode(image.convert("LA") if mode == "LA" else image.quantize() if mode == "PA" else image)
    pixels = decode_image(data, FIT).pixels
    assert (pixels[:, :32] == 0).all()
    assert (pixels[:, 32:] == 255).all()


def test_half_transparent_is_half_white() -> None:
    data = encode(PIL.Image.new("RGBA", (64, 64), (255, 0, 0, 128)))
    assert decode_image(data, FIT).pixels[0, 0].tolist() == [255, 127, 127]


def test_sixteen_bits_lose_the_lower_eight() -> None:
    gray = np.full((64, 64), 0xABCD, np.uint16)
    assert (decode_image(encode(PIL.Image.fromarray(gray)), FIT).pixels == 0xAB).all()


@pytest.mark.parametrize(
    ("mode", "kind"), [("RGBA", "PNG"), ("P", "GIF"), ("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "WEBP")]
)
def test_strips_of_a_large_photograph_give_the_same_pixels(
    mode: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = open_photo("cat")
    image.putalpha(PIL.Image.linear_gradient("L").resize(image.size))
    data = encode(image.convert(mode), kind)
    whole = decode_image(data, FIT).content
    monkeypatch.setattr(opaque, "_STRIP_PIXELS", 7 * image.width)
    assert decode_image(data, FIT).content == whole


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("mode", ["resize", "pad", "crop"])
def test_exif_orientation_is_applied(orientation: int, mode: Any) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    data = encode(open_photo("cat"), "PNG", exif=exif)
    turned = encode(ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(data))), "PNG")
    fit = ImageFit(96, 96, mode)
    found, wanted = decode_image(data, fit), decode_image(turned, fit)
    assert found.content == wanted.content
    assert difference(found.pixels, wanted.pixels.astype(float)) < 0.5


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_an_orientation_that_cannot_be_read_is_none() -> None:
    data = encode(open_photo("cat"), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    wanted = encode(open_photo("cat"), "JPEG")
    assert (decode_image(data, FIT).pixels == decode_image(wanted, FIT).pixels).all()


class TestFit:
    def test_resize_shows_everything(self) -> None:
        image = PIL.Image.new("RGB", (320, 160), "black")
        image.paste("white", (304, 0, 320, 160))
        pixels = decode_image(encode(image), ImageFit(32, 160)).pixels
        assert (pixels[:, :152] == 0).all()
        assert (pixels[:, 152:] == 255).all()

    def test_pad_keeps_proportions_at_the_top_left(self) -> None:
        found = decode_image(encode(PIL.Image.new("RGB", (320, 160), "white")), ImageFit(64, 64, "pad"))
        assert found.content == (32, 64)
        assert (found.pixels[:32] == 255).all()
        assert (found.pixels[32:] == 0).all()

    def test_crop_keeps_the_middle(self) -> None:
        image = PIL.Image.new("RGB", (320, 160), "white")
        image.paste("black", (0, 0, 80, 160))
        image.paste("black", (240, 0, 320, 160))
        found = decode_image(encode(image), ImageFit(64, 64, "crop"))
        assert found.content is None
        assert (found.pixels == 255).all()

    def test_a_small_photograph_grows(self) -> None:
        found = decode_image(gradient(), FIT)
        assert found.pixels.shape == (64, 64, 3)
        assert np.diff(found.pixels[:, 0, 0].astype(int)).min() >= 0

    @pytest.mark.parametrize("size", [(0, 16), (16, 20), (-16, 16)])
    def test_a_side_that_is_no_multiple_of_16_is_refused(self, size: tuple[int, int]) -> None:
        with pytest.raises(SettingError, match="is not a positive multiple of 16"):
            ImageFit(*size)

    @given(height=st.integers(16, 400), width=st.integers(16, 400), mode=st.sampled_from(["resize", "pad", "crop"]))
    def test_every_shape_fits(self, height: int, width: int, mode: Any) -> None:
        fit = ImageFit(48, 80, mode)
        scaled = fit.scaled(height, width)
        found = placed(np.ones((*scaled, 3), np.uint8), fit)
        assert found.pixels.shape == (48, 80, 3)
        if mode == "pad":
            assert max(scaled[0] / 48, scaled[1] / 80) == 1
        if mode == "crop":
            assert min(scaled[0] / 48, scaled[1] / 80) == 1


def gradient() -> bytes:
    return encode(PIL.Image.fromarray(np.arange(20, dtype=np.uint8).repeat(30).reshape(20, 30)))


def header_only(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds one small piece of pixels."""
    data = bytearray(encode(PIL.Image.new("L", (16, 16))))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


class TestBad:
    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", r"the file is no image \(JPEG, PNG, WEBP, GIF, BMP can be read\)"),
            (b"<html>404 not found</html>", "the file is no image"),
            (b"%PDF-1.4", "the file is no image"),
            (encode(PIL.Image.new("RGB", (1, 1))), "the image's shorter side has less than 16 pixels"),
            (encode(PIL.Image.new("L", (30_000, 10))), "the image's shorter side has less than 16 pixels"),
            (encode(PIL.Image.new("L", (3_000, 200))), "the image is more than 10 times as long as it is wide"),
            (header_only(8_193, 8_192), "the image has more than 67,108,864 pixels"),
            (header_only(60_000, 60_000), "the image has more than 67,108,864 pixels"),
            (header_only(20_000, 3_000), "the image is (damaged|cut off)"),
            (photo("cat")[:-3000], "the image is cut off"),
            (encode(PIL.Image.open(io.BytesIO(photo("cat"))))[:-3000], "the image is (damaged|cut off)"),
        ],
        ids=["empty", "html", "pdf", "1x1", "30000x10", "3000x200", "large", "bomb", "hollow", "cut jpeg", "cut png"],
    )
    def test_it_says_what_is_wrong(self, data: bytes, reason: str) -> None:
        with pytest.raises(EpisodeError, match=reason) as caught:
            decode_image(data, FIT)
        assert caught.value.stage == "decode"

    def test_a_file_that_is_too_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(photos, "MAX_ENCODED_BYTES", 1 << 20)
        with pytest.raises(EpisodeError, match="the image file is larger than 1 MiB"):
            decode_image(photo("cat").ljust((1 << 20) + 1), FIT)

    @pytest.mark.parametrize("size", [2_000_000, 20_000_000])
    @pytest.mark.parametrize("is_behind", [False, True])
    def test_large_texts_and_profiles_are_no_damage(self, size: int, is_behind: bool) -> None:
        pixels = np.asarray(open_photo("cat").resize((48, 32))).astype(np.int64)
        text = b"x" * size
        chunks = [
            (b"tEXt", b"Comment\0" + text),
            (b"zTXt", b"Comment\0\0" + zlib.compress(text)),
            (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(text)),
        ]
        chunks += [] if is_behind else [(b"iCCP", b"profile\0\0" + zlib.compress(text))]
        plain = decode_image(make_png(pixels, 8, COLOUR), FIT).pixels
        for chunk in chunks:
            data = make_png(pixels, 8, COLOUR, **{"behind" if is_behind else "before": [chunk]})
            assert (decode_image(data, FIT).pixels == plain).all()

    def test_a_text_without_end_is_not_held(self) -> None:
        bomb = [(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(photos.MAX_TEXT_BYTES + 1)))]
        with pytest.raises(EpisodeError, match="the image carries texts of more than 64 MiB"):
            decode_image(make_png(np.zeros((16, 16), np.int64), 8, GRAY, before=bomb), FIT)

    @given(
        kind=st.sampled_from(photos.FORMATS),
        at=st.lists(st.integers(0, 3000), min_size=1, max_size=20),
        value=st.integers(0, 255),
        end=st.integers(0, 4000),
    )
    def test_damage_is_a_dead_letter_or_a_picture(self, kind: str, at: list[int], value: int, end: int) -> None:
        data = bytearray(SMALL[kind])
        for place in at:
            data[place % len(data)] = value
        with suppress(EpisodeError):
            assert decode_image(bytes(data[: end or None]), FIT).pixels.shape == (64, 64, 3)


SMALL = {kind: encode(open_photo("coffee").resize((48, 32)), kind) for kind in photos.FORMATS}


def test_the_libraries_that_decide_the_pixels() -> None:
    assert {"opencv", "pillow", "libjpeg-turbo"} <= set(image_libraries())
