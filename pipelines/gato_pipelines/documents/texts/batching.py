"""Texts of many small documents encoded together: SentencePiece and numpy push each other out of a core's cache."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_data.tokenizers.text import TextTokenizer
from gato_pipelines.source import Item
from gato_schemas.episode import Document, Text

BATCH_ITEMS, BATCH_BYTES = 64, 1 << 18
"""A batch ends at so many items, or bytes of text and pixels."""


def with_texts(
    items: Iterable[Item], model: TextTokenizer | None
) -> Iterator[tuple[Item, "TextTokenizer | EncodedTexts | None"]]:
    """Every item, and the model that its texts are to be encoded with."""
    for batch in _batches(items):
        texts = _encode_together(model, batch)
        for item in batch:
            yield item, texts


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Runs of items in their order; an episode, and a document with images, ends its batch."""
    batch: list[Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += _size(item)
        if len(batch) == BATCH_ITEMS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _size(item: Item) -> int:
    if not isinstance(item.content, Document):
        return 0 if item.content is None else BATCH_BYTES
    segments = item.content.segments
    return sum(len(segment.text) if isinstance(segment, Text) else segment.pixels.nbytes for segment in segments)


class EncodedTexts:
    """A text model that knows the ids of some texts already."""

    def __init__(self, model: TextTokenizer, texts: Sequence[str]) -> None:
        self._model = model
        self._ids = dict(zip(texts, model.encode(texts), strict=True))

    @property
    def eos_id(self) -> int | None:
        """Id of the end-of-sentence piece."""
        return self._model.eos_id

    def id_of(self, piece: str) -> int | None:
        """Id of a piece as the model spells it."""
        return self._model.id_of(piece)

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Ids of each text."""
        return [self._ids[text] if text in self._ids else self._model.encode([text])[0] for text in texts]


def _encode_together(model: TextTokenizer | None, batch: Sequence[Item]) -> TextTokenizer | EncodedTexts | None:
    """The model, with the texts of a batch of several documents encoded; bad ones are left to come up by themselves."""
    if model is None or len(batch) == 1:
        return model
    documents = [item.content for item in batch if isinstance(item.content, Document)]
    texts = [segment.text for document in documents for segment in document.segments if isinstance(segment, Text)]
    try:
        return EncodedTexts(model, texts)
    except EpisodeError:
        return model
