"""Interleaved web pages, as MMC4 and OBELICS write them, to documents with images where they stood."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeAlias

import msgspec

from gato_data.errors import EpisodeError
from gato_pipelines.documents.photos import PhotoFit, decode_photo
from gato_pipelines.documents.pictures import Pictures, read_first
from gato_pipelines.documents.source import AGENT, bad
from gato_pipelines.documents.webdataset import IMAGE_SUFFIXES
from gato_pipelines.source import Item
from gato_schemas.episode import Document, Image, Text

MAX_IMAGES = 512
"""Images of one page: all of a page are held in memory."""


@dataclass(frozen=True, slots=True)
class PageImage:
    """An image of a page, not read yet: its name or address, and how to read it."""

    name: str
    load: Callable[[Pictures], bytes]


PagePart: TypeAlias = str | PageImage


class _Mmc4Image(msgspec.Struct, frozen=True, gc=False):
    matched_text_index: int
    image_name: str = ""


class Mmc4Page(msgspec.Struct, frozen=True):
    """A line of MMC4."""

    text_list: list[str]
    image_info: list[_Mmc4Image] = []
    url: str = ""

    def parts(self) -> Iterator[PagePart]:
        """Sentences in order, each after the images that were matched to it."""
        by_sentence: dict[int, list[str]] = {}
        for image in self.image_info:
            by_sentence.setdefault(image.matched_text_index, []).append(image.image_name)
        for number, sentence in enumerate(self.text_list):
            for name in by_sentence.pop(number, ()):
                yield PageImage(name, _by_name(name))
            yield sentence
        for names in by_sentence.values():
            yield from (PageImage(name, _misplaced) for name in names)


def obelics_parts(images: Sequence[Any], texts: Sequence[Any]) -> Iterator[PagePart]:
    """The entries of an OBELICS row: at every place either an image or a text.

    Raises:
        EpisodeError: the lists do not go together.
    """
    if not isinstance(images, list) or not isinstance(texts, list) or len(images) != len(texts):
        raise EpisodeError("the page's images and texts are not lists of one length", stage="read")
    for image, text in zip(images, texts, strict=True):
        if isinstance(text, bytes):
            try:
                yield text.decode()
            except UnicodeDecodeError as error:
                raise EpisodeError("the text is not valid UTF-8", stage="decode") from error
        elif isinstance(image, bytes):
            address = image.decode(errors="replace")
            yield PageImage(address, _by_address(image))
        elif isinstance(image, dict):
            yield _embedded(image)


def _embedded(image: dict[str, Any]) -> PageImage:
    """An image of a mirror that holds the bytes, or at least a path."""
    data, path = image.get("bytes"), image.get("path")
    name = path.decode(errors="replace") if isinstance(path, bytes) else "embedded"
    if isinstance(data, bytes):
        return PageImage(name, lambda pictures: data)
    return PageImage(name, _by_name(name))


def _by_name(name: str) -> Callable[[Pictures], bytes]:
    return lambda pictures: read_first(pictures, [name])


def _by_address(address: bytes) -> Callable[[Pictures], bytes]:
    """Images that were downloaded by address lie under the SHA-256 of it."""
    stem = sha256(address).hexdigest()
    return lambda pictures: read_first(pictures, (f"{stem}.{suffix}" for suffix in IMAGE_SUFFIXES))


def _misplaced(pictures: Pictures) -> bytes:
    raise EpisodeError("the image belongs to no sentence of its page", stage="read")


def read_page(task: str, key: str, ordinal: int, name: str, parts: Iterator[PagePart], see: "Eye") -> Iterator[Item]:
    """A page as an item, after one for every image of it that cannot be used."""
    segments: list[Text | Image] = []
    sentences: list[str] = []
    images = used = 0
    try:
        for part in parts:
            if isinstance(part, str):
                sentences.append(part.strip())
                continue
            images += 1
            if images > MAX_IMAGES:
                raise EpisodeError(f"the page has more than {MAX_IMAGES} images", stage="read")
            try:
                image = see.image(part)
            except EpisodeError as error:
                yield Item(f"{key}, {part.name}", ordinal, error=error)
                continue
            used += 1
            segments += [*_joined(sentences), image]
            sentences = []
    except EpisodeError as error:
        yield Item(key, ordinal, error=error)
        return
    segments += _joined(sentences)
    if not used:
        yield bad(key, "none of the page's images can be used" if images else "the page has no image")
    elif not any(isinstance(segment, Text) for segment in segments):
        yield bad(key, "the text is empty")
    else:
        yield Item(key, ordinal, Document(task=task, agent=AGENT, source_episode_id=name, segments=_ended(segments)))


@dataclass(frozen=True, slots=True)
class Eye:
    """Looks images up and makes them of one size."""

    pictures: Pictures
    fit: PhotoFit

    def image(self, part: PageImage) -> Image:
        """One image of a page; raises EpisodeError where it cannot be used."""
        return decode_photo(part.load(self.pictures), self.fit)


def _joined(sentences: Sequence[str]) -> list[Text]:
    """The sentences between two images as one text."""
    text = " ".join(sentence for sentence in sentences if sentence)
    return [Text(text, ends=False)] if text else []


def _ended(segments: list[Text | Image]) -> tuple[Text | Image, ...]:
    """A page ends once, at its end: with its last text, or with an empty one behind an image."""
    last = segments[-1]
    if isinstance(last, Text):
        return (*segments[:-1], Text(last.text))
    return (*segments, Text(""))
