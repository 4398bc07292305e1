import io
import struct
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gato_data.errors import EpisodeError, MissingPackageError, SettingError
from gato_data.image_decoding import decode_and_fit, decode_images, fit_images
from gato_data.image_fit import ImageFit, import_cv2
from gato_data.image_header import ImageHeader, read_header

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (3, 20, 24), dtype=np.uint8)
RGB = RNG.integers(0, 256, (3, 20, 24, 3), dtype=np.uint8)
SIXTEEN = ImageFit(height=16, width=16)


def _encode(pixels: np.ndarray, fmt: str = "PNG", mode: str | None = None, **options) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(out, fmt, **options)
    return out.getvalue()


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _bomb(height: int, width: int) -> bytes:
    """A PNG of a few kilobytes that claims to be huge."""
    header = _png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + _png_chunk(b"IDAT", zlib.compress(bytes(10**6))) + _png_chunk(b"IEND", b"")


@pytest.mark.parametrize(("frames", "shape"), [(GRAY, (20, 24, 1)), (RGB, (20, 24, 3)), (RGB, (None, None, 3))])
def test_png_is_lossless(frames, shape):
    decoded = decode_images([_encode(frame) for frame in frames], shape)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, frames.reshape(3, 20, 24, -1))


def test_views_of_a_record_will_do():
    encoded = [memoryview(_encode(frame)) for frame in GRAY]
    np.testing.assert_array_equal(decode_images(encoded, (20, 24, 1))[..., 0], GRAY)


def test_jpeg_has_its_colours_in_order():
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    decoded = decode_images([_encode(red, "JPEG", quality=95)], (16, 16, 3))
    np.testing.assert_allclose(decoded[0], red, atol=4)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"x" * 500}])
def test_jpeg_as_pillow_reads_it(options):
    smooth = np.add.outer(np.arange(40), 3 * np.arange(48)).astype(np.uint8)
    data = _encode(smooth, "JPEG", quality=90, **options)
    assert read_header(data) == ImageHeader(40, 48, 1)
    np.testing.assert_allclose(
        decode_images([data], (40, 48, 1))[0, ..., 0].astype(int), np.asarray(Image.open(io.BytesIO(data))), atol=2
    )


def test_gray_is_repeated_where_colour_is_declared():
    decoded = decode_images([_encode(GRAY[0])], (20, 24, 3))
    np.testing.assert_array_equal(decoded[0], np.repeat(GRAY[0][..., None], 3, axis=2))


def test_the_camera_s_orientation_is_ignored():
    """TFDS hands out the pixels as they are stored, and its shapes are those."""
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by a quarter
    data = _encode(np.zeros((16, 32), np.uint8), "JPEG", exif=exif)
    assert decode_images([data], (16, 32, 1)).shape == (1, 16, 32, 1)


RGBA = np.dstack([RGB[0], RNG.integers(0, 256, (20, 24), dtype=np.uint8)])


def test_four_channels_as_stored():
    np.testing.assert_array_equal(decode_images([_encode(RGBA)], (20, 24, 4))[0], RGBA)


@pytest.mark.parametrize("mode", [None, "LA", "P"])
def test_transparency_is_shown_on_white_if_asked(mode):
    image = Image.fromarray(RGBA)
    image = image.quantize(64) if mode == "P" else image.convert(mode) if mode else image
    out = io.BytesIO()
    image.save(out, "PNG")
    data = out.getvalue()
    assert read_header(data).channels == 4
    with pytest.raises(EpisodeError, match="four channels, one of them alpha, three colour channels was expected"):
        decode_images([data], (20, 24, 3))
    pixels = np.asarray(image.convert("RGBA")).astype(float)
    alpha = pixels[..., 3:] / 255
    expected = pixels[..., :3] * alpha + 255 * (1 - alpha)
    np.testing.assert_allclose(decode_images([data], (20, 24, 3), alpha="white")[0], expected, atol=0.51)


def test_sixteen_bits_with_alpha():
    """OpenCV keeps 16 bits beside an alpha channel; the upper ones are the pixel."""
    row = np.array([[[0x1234, 0x5678, 0x9ABC, 0xFFFF]]], dtype=">u2")
    header = _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 6, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + _png_chunk(b"IDAT", zlib.compress(b"\0" + row.tobytes()))
    data += _png_chunk(b"IEND", b"")
    assert decode_images([data], (1, 1, 4))[0, 0, 0].tolist() == [0x12, 0x56, 0x9A, 0xFF]


def test_a_palette_without_transparency_is_colour():
    data = _encode(RGB[0], mode="P")
    assert read_header(data) == ImageHeader(20, 24, 3)
    np.testing.assert_array_equal(
        decode_images([data], (20, 24, 3))[0], np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    )


GOOD = _encode(GRAY[0])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"", "0 bytes that are neither a PNG nor a JPEG"),
        (b"GIF89a" + bytes(50), "56 bytes that are neither"),
        (GOOD[:20], "a PNG that is cut off"),
        (GOOD[:12] + b"IDAT" + GOOD[16:], "a PNG with a damaged header"),
        (GOOD[:-20], "it is damaged"),
        (GOOD[:60] + bytes([GOOD[60] ^ 0xFF]) + GOOD[61:], "it is damaged"),
        (b"\xff\xd8\xff\xe0\x00\x10" + bytes(40), "a JPEG without a frame header"),
        (b"\xff\xd8" + b"\xff" * 5000, "a JPEG without a frame header"),
        (_encode(GRAY[0][:16]), r"is 16x24 pixels, 20x24 was expected"),
        (_encode(RGB[0]), "has three colour channels, one gray channel was expected"),
    ],
)
def test_a_bad_image_is_named_by_its_timestep(bad, message):
    with pytest.raises(EpisodeError, match=f"image of timestep 1 .*{message}") as caught:
        decode_images([GOOD, bad], (20, 24, 1))
    assert caught.value.stage == "decode"


def test_half_a_jpeg_is_refused():
    data = _encode(RGB[0], "JPEG")
    with pytest.raises(EpisodeError, match="image of timestep 0 cannot be decoded: it is damaged"):
        decode_images([data[: len(data) // 2]], (20, 24, 3))


def test_images_of_one_episode_have_one_size():
    with pytest.raises(EpisodeError, match="timestep 1 is 16x24 pixels, 20x24 was expected"):
        decode_images([GOOD, _encode(GRAY[0][:16])], (None, None, 1))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((None, None, 1), "is 50000x50000 pixels, at most 67108864 pixels are decoded"),
        ((20, 24, 1), "is 50000x50000 pixels, 20x24 was expected"),
    ],
)
def test_a_decompression_bomb_is_not_decoded(shape, message):
    with pytest.raises(EpisodeError, match=message):
        decode_images([_bomb(50_000, 50_000)], shape)


def test_an_episode_that_cannot_be_held_is_refused(monkeypatch):
    monkeypatch.setattr("gato_data.image_fit.MAX_EPISODE_BYTES", 1000)
    with pytest.raises(EpisodeError, match="take 1440 bytes, at most 1000"):
        decode_images([GOOD] * 3, (20, 24, 1))
    with pytest.raises(EpisodeError, match="take 2304 bytes, at most 1000"):
        decode_and_fit([GOOD] * 3, (20, 24, 1), SIXTEEN)


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 2), (20, 24, None)])
def test_shapes_that_are_no_image(shape):
    with pytest.raises(EpisodeError, match="cannot be decoded: 1, 3 or 4 channels can"):
        decode_images([GOOD], shape)


def test_no_timesteps():
    with pytest.raises(EpisodeError, match="without timesteps has no images"):
        decode_images([], (20, 24, 1))


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", GOOD[:30]]))
def test_any_bytes_are_decoded_or_refused(data, magic):
    with pytest.raises(EpisodeError):
        decode_images([magic + data], (20, 24, 1))


# ---- fitting


def test_shrinking_averages_areas():
    frames = RGB[:, :20, :24].repeat(1, axis=0)[:, :16, :16]
    large = frames.repeat(2, axis=1).repeat(2, axis=2)  # every pixel four times: the average is the pixel
    np.testing.assert_array_equal(fit_images(large, SIXTEEN), frames)


def test_shrinking_by_two_is_the_mean_of_four():
    frame = RNG.integers(0, 256, (1, 32, 32, 1), dtype=np.uint8)
    mean = frame.reshape(16, 2, 16, 2).astype(float).mean(axis=(1, 3))
    fitted = fit_images(frame, SIXTEEN)
    np.testing.assert_allclose(fitted[0, ..., 0], mean, atol=0.51)
    np.testing.assert_array_equal(fitted[..., 0], fitted[..., 2])


def test_enlarging_is_linear():
    ramp = np.tile(np.arange(0, 160, 10, dtype=np.uint8), (16, 1))[None, ..., None]
    fitted = fit_images(ramp, ImageFit(height=16, width=32))[0, 0, :, 0].astype(int)
    assert fitted[:6].tolist() == [0, 3, 8, 13, 18, 23]
    assert (np.diff(fitted) >= 0).all()


def test_one_side_may_shrink_while_the_other_grows():
    stripes = np.zeros((1, 64, 8, 3), np.uint8)
    stripes[:, ::2] = 200  # every second row: an area average is even, picking rows is not
    assert np.unique(fit_images(stripes, SIXTEEN)).tolist() == [100]


def test_a_frame_that_fits_is_left_alone():
    np.testing.assert_array_equal(fit_images(RGB[:, :16, :16], ImageFit(height=16, width=16)), RGB[:, :16, :16])


@pytest.mark.parametrize(
    ("fit", "size"),
    [
        (ImageFit(scales=False, mode="pad"), (32, 32)),
        (ImageFit(scales=False, mode="pad", height=48, width=32), (48, 32)),
    ],
)
def test_padding_is_black_at_the_right_and_bottom(fit, size):
    fitted = fit_images(RGB, fit)
    assert fitted.shape == (3, *size, 3)
    assert fit.size(20, 24) == size
    height, width = fit.content(20, 24)
    assert (height, width) == (20, 24)
    np.testing.assert_array_equal(fitted[:, :height, :width], RGB)
    assert not fitted[:, height:].any()
    assert not fitted[:, :, width:].any()


def test_a_resized_frame_is_all_content():
    assert ImageFit(height=64, width=80).content(84, 84) == (64, 80)


def test_frames_larger_than_the_padding():
    with pytest.raises(EpisodeError, match="frames of 20x24 pixels cannot be padded to 16x32: use resize"):
        fit_images(RGB, ImageFit(scales=False, mode="pad", height=16, width=32))


def test_other_channels_do_not_become_patches():
    with pytest.raises(EpisodeError, match="frames with 4 channels cannot be made RGB"):
        fit_images(np.zeros((1, 20, 24, 4), np.uint8), SIXTEEN)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"height": 64, "width": 81}, "an image side of 81 pixels is not a positive multiple of 16"),
        ({"height": 0, "width": 16}, "an image side of 0 pixels"),
        ({"height": -16, "width": 16, "mode": "pad", "scales": False}, "an image side of -16 pixels"),
        ({"height": 64}, "resize needs a size"),
        ({}, "resize needs a size"),
        ({"mode": "crop", "scales": False}, "no image fit is called 'crop': use resize or pad"),
    ],
)
def test_settings_that_cannot_be_used(settings, message):
    with pytest.raises(SettingError, match=message):
        ImageFit(**settings)


@pytest.mark.parametrize("frames", [GRAY, RGB], ids=["gray", "rgb"])
@pytest.mark.parametrize("fit", [SIXTEEN, ImageFit(height=32, width=16), ImageFit(scales=False, mode="pad")], ids=str)
def test_decode_and_fit_is_decoding_and_then_fitting(frames, fit):
    encoded = [_encode(frame) for frame in frames]
    shape = (20, 24, 1 if frames.ndim == 3 else 3)
    np.testing.assert_array_equal(decode_and_fit(encoded, shape, fit), fit_images(decode_images(encoded, shape), fit))


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_counted_as_they_are_stored(channels: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 24, channels), dtype=np.uint8)
    histogram = np.zeros(256, np.int64)
    fit_images(frames, SIXTEEN, histogram)
    np.testing.assert_array_equal(histogram, np.bincount(frames.reshape(-1), minlength=256))


def test_red_and_blue_change_places() -> None:
    import cv2

    picture = np.zeros((1, 32, 32, 3), np.uint8)
    picture[..., 0], picture[:, :8] = 200, (0, 90, 30)
    encoded = [cv2.imencode(".png", picture[0])[1].tobytes()]  # which takes red for blue
    fit = ImageFit(height=32, width=32)
    np.testing.assert_array_equal(decode_and_fit(encoded, (32, 32, 3), fit, bgr=True), picture)
    np.testing.assert_array_equal(decode_and_fit(encoded, (32, 32, 3), fit), picture[..., ::-1])


@pytest.mark.parametrize("counted_at_once", [1, 1000, 1 << 18])
@pytest.mark.parametrize("frames", [GRAY, RGB], ids=["gray", "rgb"])
def test_the_histogram_counts_every_pixel_before_fitting(frames, counted_at_once, monkeypatch):
    monkeypatch.setattr("gato_data.image_histogram._COUNTED_AT_ONCE", counted_at_once)
    monkeypatch.setattr("gato_data.image_histogram._MAX_EXACT", 700)
    histogram = np.ones(256, dtype=np.int64)
    shape = (20, 24, 1 if frames.ndim == 3 else 3)
    decode_and_fit([_encode(frame) for frame in frames], shape, SIXTEEN, histogram=histogram)
    np.testing.assert_array_equal(histogram, 1 + np.bincount(frames.ravel(), minlength=256))


def test_opencv_uses_one_thread():
    assert import_cv2().getNumThreads() == 1


def test_opencv_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    import_cv2.cache_clear()
    try:
        with pytest.raises(MissingPackageError, match=r"pip install \"gato-data\[ingest\]\""):
            decode_images([GOOD], (20, 24, 1))
    finally:
        import_cv2.cache_clear()
