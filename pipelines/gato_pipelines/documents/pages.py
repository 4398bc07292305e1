"""Interleaved web pages, as MMC4 and OBELICS write them, to documents with images where they stood."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeAlias

import msgspec

from gato_data.errors import EpisodeError
from gato_data.image_fit import ImageFit
from gato_pipelines.documents.image_files import IMAGE_SUFFIXES, ImageFiles, read_first
from gato_pipelines.documents.source import AGENT, bad
from gato_pipelines.images.document import decode_image
from gato_pipelines.source import Item
from gato_schemas.account import Note, merge_notes
from gato_schemas.episode import Document, Image, Text

MAX_IMAGES = 512
"""Images of one page: all of a page are held in memory."""


@dataclass(frozen=True, slots=True)
class PageImage:
    """An image of a page, not read yet: its name or address, and how to read it."""

    name: str
    load: Callable[[ImageFiles], bytes]


PagePart: TypeAlias = str | PageImage | Note
"""A text, an image, or how those that follow were read."""
_BOTH = Note("read", "a place of a page holds an image and a text: the image is put before the text")
_MISPLACED = "the image belongs to no sentence of its page"


class Mmc4Page(msgspec.Struct, frozen=True):
    """A line of MMC4; an image that is not as it should be costs itself, not the page."""

    text_list: list[str]
    image_info: list[Any] | None = None
    url: str | None = ""

    def parts(self) -> Iterator[PagePart]:
        """Sentences in order, each after the images that were matched to it."""
        by_sentence: dict[int, list[PageImage]] = {}
        for entry in self.image_info or ():
            number, image = _mmc4_image(entry)
            by_sentence.setdefault(number, []).append(image)
        for number, sentence in enumerate(self.text_list):
            yield from by_sentence.pop(number, ())
            yield sentence
        for images in by_sentence.values():
            yield from (PageImage(image.name, _failing(_MISPLACED)) for image in images)


def _mmc4_image(entry: Any) -> tuple[int, PageImage]:
    """The sentence that an image was matched to, -1 where there is none, and the image."""
    about = entry if isinstance(entry, dict) else {}
    name, number = about.get("image_name"), about.get("matched_text_index")
    if isinstance(number, float) and number.is_integer():  # as pandas writes numbers beside nulls
        number = int(number)
    if not isinstance(number, int):
        number = -1
    if not isinstance(name, str) or not name:
        return number, PageImage("no name", _failing("the image has no name"))
    return number, PageImage(name, _by_name(name))


def obelics_parts(images: Any, texts: Any) -> Iterator[PagePart]:
    """The entries of an OBELICS row, whose images are addresses or embedded.

    Raises:
        EpisodeError: the lists do not go together.
    """
    return interleaved_parts(images, texts, _image)


def interleaved_parts(images: Any, texts: Any, image_of: Callable[[Any], Iterator[PageImage]]) -> Iterator[PagePart]:
    """The entries of two lists that have, at every place, either an image or a text.

    Raises:
        EpisodeError: the lists do not go together.
    """
    if not isinstance(images, list) or not isinstance(texts, list) or len(images) != len(texts):
        raise EpisodeError("the page's images and texts are not lists of one length", stage="read")
    for image, text in zip(images, texts, strict=True):
        # mirrors write "" for null
        is_shown = any(image.values()) if isinstance(image, dict) else bool(image)
        if is_shown and text:
            yield _BOTH
        if is_shown or text is None:
            yield from image_of(image)
        if isinstance(text, bytes):
            try:
                yield text.decode()
            except UnicodeDecodeError as error:
                raise EpisodeError("the text is not valid UTF-8", stage="decode") from error
        elif isinstance(text, str):
            yield text


def _image(image: Any) -> Iterator[PageImage]:
    if isinstance(image, bytes):
        yield PageImage(image.decode(errors="replace"), _by_address(image))
    elif isinstance(image, dict):
        yield _embedded(image)


def _embedded(image: dict[str, Any]) -> PageImage:
    """An image of a mirror that holds the bytes, or at least a path."""
    data, path = image.get("bytes"), image.get("path")
    name = path.decode(errors="replace") if isinstance(path, bytes) else "embedded"
    if isinstance(data, bytes):
        return PageImage(name, lambda image_files: data)
    return PageImage(name, _by_name(name))


def _by_name(name: str) -> Callable[[ImageFiles], bytes]:
    return lambda image_files: read_first(image_files, [name])


def _by_address(address: bytes) -> Callable[[ImageFiles], bytes]:
    """Images that were downloaded by address lie under the SHA-256 of it."""
    stem = sha256(address).hexdigest()
    return lambda image_files: read_first(image_files, (f"{stem}.{suffix}" for suffix in IMAGE_SUFFIXES))


def _failing(reason: str) -> Callable[[ImageFiles], bytes]:
    def fail(image_files: ImageFiles) -> bytes:
        raise EpisodeError(reason, stage="read")

    return fail


def read_page(
    task: str,
    key: str,
    ordinal: int,
    name: str,
    parts: Iterator[PagePart],
    album: "PageImages",
    *,
    text_alone: bool = False,
) -> Iterator[Item]:
    """A page as an item, after one for every image of it that cannot be used.

    A page that has no image is none, unless it may be `text_alone`.
    """
    segments: list[Text | Image] = []
    sentences: list[str] = []
    notes: list[Note] = []
    images = used = 0
    try:
        for part in parts:
            if isinstance(part, str):
                sentences.append(part.strip())
                continue
            if isinstance(part, Note):
                notes.append(part)
                continue
            images += 1
            if images > MAX_IMAGES:
                raise EpisodeError(f"the page has more than {MAX_IMAGES} images", stage="read")
            try:
                image = album.image(part)
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
    if not used and (images or not text_alone):
        yield bad(key, "none of the page's images can be used" if images else "the page has no image")
    elif not any(isinstance(segment, Text) for segment in segments):
        yield bad(key, "the text is empty")
    else:
        document = Document(task=task, agent=AGENT, source_episode_id=name, segments=_ended(segments))
        yield Item(key, ordinal, document, notes=tuple(merge_notes(notes)))


@dataclass(frozen=True, slots=True)
class PageImages:
    """Looks images up and makes them of one size."""

    image_files: ImageFiles
    fit: ImageFit

    def image(self, part: PageImage) -> Image:
        """One image of a page; raises EpisodeError where it cannot be used."""
        return decode_image(part.load(self.image_files), self.fit)


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
