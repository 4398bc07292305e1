"""Texts encoded together are encoded as they would be alone."""

import numpy as np
import pytest

from gato_data.errors import EpisodeError
from gato_data.tokenizers.text import TextTokenizer
from gato_pipelines.documents.texts import batching
from gato_pipelines.documents.texts.batching import EncodedTexts, with_texts
from gato_pipelines.source import Item
from gato_schemas.episode import Document, Episode, Image, Text

MODEL = TextTokenizer.default()


def item(*segments: Text | Image) -> Item:
    return Item("key", 0, Document(task="text", segments=segments))


def test_items_keep_their_order_and_texts_their_ids() -> None:
    items = [item(Text(f"text {number}"), Text("and more")) for number in range(150)]
    items[3] = Item("bad", 0, error=EpisodeError("bad"))
    found = list(with_texts(items, MODEL))
    assert [shown for shown, _ in found] == items
    assert any(isinstance(model, EncodedTexts) for _, model in found)
    for number, (_, model) in enumerate(found):
        assert model is not None
        assert model.eos_id == MODEL.eos_id
        for text in (f"text {number}", "something else"):
            assert np.array_equal(model.encode([text])[0], MODEL.encode([text])[0])


def test_a_bad_text_comes_up_by_itself() -> None:
    found = list(with_texts([item(Text("good")), item(Text("\ud800"))], MODEL))
    assert [model for _, model in found] == [MODEL, MODEL]


def test_large_items_are_not_held_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "BATCH_BYTES", 1000)
    picture = item(Image(np.zeros((16, 32, 3), np.uint8)))
    episode = Item("key", 0, Episode(task="t", observations={}, actions={}))
    produced = []

    def items() -> object:
        for each in (item(Text("x" * 999)), item(Text("y")), picture, episode, item(Text("z"))):
            produced.append(each)
            yield each

    ahead = [len(produced) - number for number, _ in enumerate(with_texts(items(), MODEL))]  # type: ignore[arg-type]
    assert ahead == [2, 1, 1, 1, 1]


def test_without_a_text_model() -> None:
    assert [model for _, model in with_texts([item(Text("a")), item(Text("b"))], None)] == [None, None]
