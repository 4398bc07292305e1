from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.acting_recompute import Tokens, outputs
from gato_data.errors import EpisodeError, SettingError
from gato_data.tokenize import TokenizeSettings, tokenize_document
from gato_data.vocabulary import Vocabulary
from gato_schemas.episode import Document, Image, Text
from gato_schemas.sequence import POSITION_NONE, Modality
from gato_trainer.acting import Policy
from tests.gato_data.reading import folders
from tests.trainer.acting.conftest import lively, train_run, write_mixture


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    data = {"captions": folders.episodes("captions", [9, 14], seed=1), "pages": folders.episodes("pages", [50])}
    return train_run(write_mixture(folder, **data), folder / "run", steps=2, learning_rate=1e-2)


def recomputed(policy: Policy, document: Document, tokens: int) -> str:
    """The likeliest text, computed anew for every piece."""
    assert policy._text_model is not None
    begun = tokenize_document(document, Vocabulary(), TokenizeSettings(), policy._text_model)
    ids: list[int] = []
    nothing = np.zeros((0, 16, 16, 3), np.uint8), np.zeros((0, 4), np.uint8)
    for _ in range(tokens):
        more = Tokens(
            np.array(ids, np.int64), np.full(len(ids), POSITION_NONE, np.uint16),
            np.full(len(ids), Modality.TEXT, np.uint8), *nothing,
        )  # fmt: skip
        hidden = outputs(policy._model, [begun, more], last=True)
        ids.append(int((hidden @ policy._model.embedding.table[:32_000].T).argmax()))
        if ids[-1] == policy._text_model.eos_id:
            return policy._text_model.decode(ids[:-1])
    return policy._text_model.decode(ids)


def test_the_likeliest_text_is_what_training_makes_of_the_document(written: Path) -> None:
    policy = lively(written)
    pixels = np.random.default_rng(0).integers(0, 255, (48, 32, 3), dtype=np.uint8)
    found = policy.generate(pixels, temperature=0, tokens=9)
    assert found == recomputed(policy, Document(task="", segments=(Image(pixels),)), 9)
    assert found
    asked = (Image(pixels), Text("Q: what? A:", ends=False))
    found = policy.generate(pixels, "Q: what? A:", temperature=0, tokens=9)
    assert found.strip() == recomputed(policy, Document(task="", segments=asked), 9).strip()


def test_a_photograph_of_any_size_is_fitted_as_the_dataset_says(written: Path) -> None:
    pytest.importorskip("cv2", reason="needs OpenCV, of the extra [ingest]")
    policy = lively(written)
    for shape in ((100, 300, 3), (20, 20), (48, 32, 3)):
        policy.generate(np.zeros(shape, np.uint8), tokens=2)
    with pytest.raises(EpisodeError, match=r"the image is float64 \(4, 4, 3\)"):
        policy.generate(np.zeros((4, 4, 3)))


def test_texts_are_drawn_by_the_seed_and_end_with_the_context(written: Path) -> None:
    policy = lively(written)
    texts = [policy.generate(text="a", seed=seed, tokens=500) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_the_end_of_the_sentence_ends_the_text(written: Path) -> None:
    policy = lively(written)
    assert policy._text_model is not None
    assert policy.generate(text="a", temperature=0)
    policy._model.norm.bias += 1000 * policy._model.embedding.table[policy._text_model.eos_id]
    assert policy.generate(text="a", temperature=0) == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "nothing to continue"),
        ({"text": "a", "tokens": 0}, "0 tokens cannot be generated"),
        ({"text": "a", "dataset": "caption"}, "no dataset of texts 'caption', it has captions, pages. Did you mean"),
        ({"text": "a", "temperature": -1}, "temperature -1"),
        ({"image": np.zeros((48, 32, 3), np.uint8), "dataset": "pages"}, "no image is known to pages"),
    ],
)
def test_what_cannot_be_written_is_refused(written: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        lively(written).generate(**options)


def test_a_beginning_longer_than_the_context_is_refused(written: Path) -> None:
    with pytest.raises(EpisodeError, match="tokens, the model was trained with a context of 64: take a shorter text"):
        lively(written).generate(text="word " * 300)


def test_a_run_that_only_acts_does_not_write(policy: Policy) -> None:
    with pytest.raises(SettingError, match="not trained on texts or captions"):
        policy.generate(text="a")
