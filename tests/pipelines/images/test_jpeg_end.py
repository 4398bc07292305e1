"""JPEGs without their end marker are read, those that lack more are not; scans without end are not decoded."""

import io

import PIL.Image
import pytest

from gato_data.errors import EpisodeError
from gato_data.image_decoding import decode_images
from gato_data.image_fit import ImageFit
from gato_data.image_header import MAX_SCANS, check_scans
from gato_pipelines.images.document import decode_image
from tests.document_inputs import photo

FIT = ImageFit(64, 64)


def jpeg(**options: object) -> bytes:
    data = io.BytesIO()
    PIL.Image.open(io.BytesIO(photo("coffee"))).resize((100, 75)).save(data, "JPEG", **options)
    return data.getvalue()


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan stands there again and again."""
    data = jpeg(progressive=True)
    start, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:end] + data[start:end] * (count - data.count(b"\xff\xda")) + data[end:]


KINDS = {"plain": {}, "progressive": {"progressive": True}, "gray": {"quality": 60}, "fine": {"subsampling": 0}}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lacking", [1, 2])
def test_the_end_marker_alone_is_missing(kind: str, lacking: int) -> None:
    data = jpeg(**KINDS[kind])
    found = decode_image(data[:-lacking], FIT)
    assert (found.pixels == decode_image(data, FIT).pixels).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lacking", [4, 10, 100, 1000])
def test_more_is_missing(kind: str, lacking: int) -> None:
    with pytest.raises(EpisodeError, match="the image is cut off"):
        decode_image(jpeg(**KINDS[kind])[:-lacking], FIT)


def test_as_many_scans_as_an_encoder_may_write() -> None:
    assert decode_image(scans(MAX_SCANS), FIT).pixels.shape == (64, 64, 3)


def test_more_scans_are_refused_before_any_is_decoded() -> None:
    data = scans(5000)
    with pytest.raises(EpisodeError, match=f"the JPEG has more than {MAX_SCANS} scans"):
        decode_image(data, FIT)
    with pytest.raises(EpisodeError, match=f"the JPEG has more than {MAX_SCANS} scans"):
        decode_images([data], (None, None, 3))


def test_a_large_picture_may_have_the_scans_that_are_usual() -> None:
    check_scans(scans(24), 1 << 26)
    with pytest.raises(EpisodeError, match="the JPEG has more than 24 scans"):
        check_scans(scans(25), 1 << 26)


def test_scans_of_what_a_jpeg_carries_are_not_its_own() -> None:
    data = jpeg()
    thumbnail = b"\xff\xe1\xff\x00" + (b"\xff\xda" * 0x8000)[: 0xFF00 - 2]
    assert (decode_image(data[:2] + thumbnail + data[2:], FIT).pixels == decode_image(data, FIT).pixels).all()
    assert (decode_image(data + b"\xff\xda\x00\x02" * 500, FIT).pixels == decode_image(data, FIT).pixels).all()
