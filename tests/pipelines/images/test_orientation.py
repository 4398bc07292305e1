"""Which way up: EXIF, XMP and raw profiles, in every format that carries them."""

import io
import zlib

import numpy as np
import PIL.Image
import pytest
from PIL.PngImagePlugin import PngInfo

from gato_data.image_fit import ImageFit
from gato_pipelines.images.document import decode_image
from tests.document_inputs import photo
from tests.png_files import COLOUR, make_png

FIT = ImageFit(64, 64)
CAT = PIL.Image.open(io.BytesIO(photo("cat"))).convert("RGB").resize((48, 32))
UPRIGHT = np.asarray(CAT.transpose(PIL.Image.Transpose.ROTATE_270).resize((64, 64)), float)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
WAYS_OF_XMP = (
    XMP,
    XMP.replace(b'"6"', b"'6'"),
    XMP.replace(b'="6"', b' = "6"'),
    b"<tiff:Orientation>6</tiff:Orientation>",
)


def exif(value: int) -> bytes:
    block = PIL.Image.Exif()
    block[0x0112] = value
    return block.tobytes()


def saved(kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    CAT.save(data, kind, **({"lossless": True} if kind == "WEBP" else {}), **options)
    return data.getvalue()


def profile(name: str, content: bytes) -> str:
    """What ImageMagick writes into a text chunk."""
    digits = content.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return f"\n{name}\n{len(content):8d}\n{lines}\n"


def is_turned(data: bytes) -> bool:
    found = decode_image(data, FIT).pixels.astype(float)
    return bool(np.abs(found - UPRIGHT).mean() < 12)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif(kind: str) -> None:
    assert is_turned(saved(kind, exif=exif(6)))
    assert not is_turned(saved(kind, exif=exif(1)))
    assert not is_turned(saved(kind))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("xmp", WAYS_OF_XMP)
def test_xmp(kind: str, xmp: bytes) -> None:
    assert is_turned(saved(kind, xmp=xmp))


@pytest.mark.parametrize("xmp", WAYS_OF_XMP)
@pytest.mark.parametrize("is_compressed", [False, True])
def test_xmp_in_a_png(xmp: bytes, is_compressed: bool) -> None:
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=is_compressed)
    assert is_turned(saved("PNG", pnginfo=text))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_goes_before_xmp(kind: str) -> None:
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    options = {"pnginfo": text} if kind == "PNG" else {"xmp": XMP}
    assert not is_turned(saved(kind, exif=exif(1), **options))
    described = PIL.Image.Exif()
    described[0x010E] = "a cat"
    assert is_turned(saved(kind, exif=described.tobytes(), **options))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("exif", exif(6)),
        ("exif", exif(6).removeprefix(b"Exif\0\0")),
        ("APP1", exif(6)),
        ("APP1", b"http://ns.adobe.com/xap/1.0/\0" + XMP),
        ("xmp", XMP),
    ],
)
@pytest.mark.parametrize("kind", ["tEXt", "zTXt"])
@pytest.mark.parametrize("is_behind", [False, True])
def test_raw_profiles(name: str, content: bytes, kind: str, is_behind: bool) -> None:
    key, text = f"Raw profile type {name}".encode() + b"\0", profile(name, content).encode()
    chunk = [(kind.encode(), key + (text if kind == "tEXt" else b"\0" + zlib.compress(text)))]
    pixels = np.asarray(CAT).astype(np.int64)
    data = make_png(pixels, 8, COLOUR, **({"behind": chunk} if is_behind else {"before": chunk}))
    assert is_turned(data)


def test_exif_behind_the_pixels() -> None:
    block = exif(6).removeprefix(b"Exif\0\0")
    assert is_turned(make_png(np.asarray(CAT).astype(np.int64), 8, COLOUR, behind=[(b"eXIf", block)]))


@pytest.mark.parametrize("text", ["", "\nexif\n", "\nexif\n 4\nnot digits\n", "\nexif\n 4\n00ff00ff\n"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_what_cannot_be_read_turns_nothing(text: str) -> None:
    info = PngInfo()
    info.add_text("Raw profile type exif", text)
    info.add_text("XML:com.adobe.xmp", 'tiff:Orientation="66"')
    assert (decode_image(saved("PNG", pnginfo=info), FIT).pixels == decode_image(saved("PNG"), FIT).pixels).all()
