import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings

from gato_data.errors import EpisodeError, SettingError
from gato_data.tokenize import TokenizeSettings, tokenize_document
from gato_data.tokenizers.text import TextTokenizer
from gato_data.vocabulary import Vocabulary
from gato_schemas.episode import Document, Image, Text
from gato_schemas.sequence import Modality, check
from tests.gato_data import reference
from tests.gato_data.reference import DOCUMENTS, SETTINGS, VOCABULARIES, LetterModel

PAPER, DEFAULTS, MODEL = Vocabulary(), TokenizeSettings(), LetterModel()


def image(height, width, content=None, seed=0):
    return Image(np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8), content)


@settings(max_examples=100)
@given(DOCUMENTS, VOCABULARIES, SETTINGS)
def test_against_the_reference(document, vocabulary, chosen):
    wanted = reference.tokenize_document(document, vocabulary, chosen)
    if not wanted.tokens:
        with pytest.raises(EpisodeError, match="the document is empty: at least one token is wanted"):
            tokenize_document(document, vocabulary, chosen, MODEL)
        return
    sequence = tokenize_document(document, vocabulary, chosen, MODEL)
    check(sequence)
    wanted.assert_are(sequence)
    assert sequence.tokens.dtype == vocabulary.token_dtype


def test_images_between_texts():
    content = Document(task="page", segments=(Text("ab"), image(32, 16, (30, 16)), Text("c"), image(16, 32), Text("d")))
    sequence = tokenize_document(content, PAPER, DEFAULTS, MODEL)
    assert sequence.tokens.tolist() == [100, 101, 2, 65535, 65535, 102, 2, 65535, 65535, 103, 2]
    assert sequence.modality.tolist() == [0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0]
    assert sequence.loss_mask.tolist() == [1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1]
    assert set(sequence.position.tolist()) == {65533}
    assert sequence.image_grid.tolist() == [[0, 2, 1, 30, 16], [2, 1, 2, 16, 32]]
    assert sequence.patch_position.tolist() == [[0, 64, 0, 128], [64, 128, 0, 128], [0, 128, 0, 64], [0, 128, 64, 128]]
    assert (sequence.num_timesteps, len(sequence.reward)) == (0, 0)
    assert Modality.SEPARATOR not in sequence.modality


def test_a_question_that_is_not_trained_on():
    content = Document(task="vqa", segments=(image(16, 16), Text("q", supervised=False), Text("a")))
    sequence = tokenize_document(content, PAPER, DEFAULTS, MODEL)
    assert sequence.tokens.tolist() == [65535, 116, 2, 100, 2]
    assert sequence.loss_mask.tolist() == [0, 0, 0, 1, 1]


def test_a_question_and_its_answer_in_one_text():
    content = Document(task="vqa", segments=(Text("qqa", unsupervised=2), Text("b", ends=False), Text("c")))
    sequence = tokenize_document(content, PAPER, DEFAULTS, MODEL)
    assert sequence.tokens.tolist() == [116, 116, 100, 2, 101, 102, 2]
    assert sequence.loss_mask.tolist() == [0, 0, 1, 1, 1, 1, 1]


def test_a_piece_across_the_end_of_the_question_is_trained_on():
    model = TextTokenizer.default()
    vocabulary = Vocabulary(model.size, text_model=model.sha256)
    whole, head = "a red tower", "a red to"
    sequence = tokenize_document(
        Document(task="vqa", segments=(Text(whole, unsupervised=len(head)),)), vocabulary, DEFAULTS, model
    )
    ids, head_ids = model.encode([whole, head])
    assert sequence.tokens.tolist() == [*ids.tolist(), 2]
    common = [one == other for one, other in zip(ids, head_ids, strict=False)].index(False)
    assert sequence.loss_mask.tolist() == [0] * common + [1] * (len(ids) + 1 - common)
    assert 0 < common < len(ids)


def test_the_end_of_a_text():
    content = Document(task="text", segments=(Text("a"), Text("")))
    assert tokenize_document(content, PAPER, DEFAULTS, MODEL).tokens.tolist() == [100, 2, 2]
    plain = TokenizeSettings(end_of_text_documents=False)
    assert tokenize_document(content, PAPER, plain, MODEL).tokens.tolist() == [100]


def test_the_packaged_text_model():
    model = TextTokenizer.default()
    vocabulary = Vocabulary(model.size, text_model=model.sha256)
    content = Document(task="caption", segments=(image(16, 16), Text("a red tower"), Text("")))
    sequence = tokenize_document(content, vocabulary, DEFAULTS, model)
    assert sequence.tokens.tolist() == [65535, *model.encode(["a red tower"])[0].tolist(), 2, 2]


def test_a_text_longer_than_positions_count():
    sequence = tokenize_document(Document(task="book", segments=(Text("x" * 70_000),)), PAPER, DEFAULTS, MODEL)
    assert sequence.num_tokens == 70_001
    assert set(sequence.position.tolist()) == {65533}


@pytest.mark.parametrize("segments", [(), (Text(""),), (Text(""), Text("", supervised=False))])
def test_an_empty_document(segments):
    with pytest.raises(EpisodeError, match="the document is empty"):
        tokenize_document(
            Document(task="t", segments=segments), PAPER, TokenizeSettings(end_of_text_documents=False), MODEL
        )


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((30, 16, 3), np.uint8), "image is 30x16 pixels: sides that are multiples of 16"),
        (np.zeros((16, 16, 3), np.float32), r"image is float32 \(1, 16, 16, 3\): uint8"),
        (np.zeros((16, 16), np.uint8), r"image has shape \(16, 16\): an image of shape \(H, W, 3\) is wanted"),
        (np.zeros((16, 16, 4), np.uint8), r"image has shape \(16, 16, 4\)"),
    ],
)
def test_what_is_no_image(pixels, message):
    with pytest.raises(EpisodeError, match=message):
        tokenize_document(Document(task="t", segments=(Image(pixels),)), PAPER, DEFAULTS, MODEL)


def test_a_text_model_of_another_vocabulary():
    with pytest.raises(SettingError, match="the text model gives id 100, the vocabulary has text ids below 100"):
        tokenize_document(Document(task="t", segments=(Text("a"),)), Vocabulary(100, "separate"), DEFAULTS, MODEL)


def test_pixels_are_copied_once():
    content = Document(task="page", segments=tuple(image(512, 512, seed=n) for n in range(8)))
    tokenize_document(content, PAPER, DEFAULTS, MODEL)
    tracemalloc.start()
    sequence = tokenize_document(content, PAPER, DEFAULTS, MODEL)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * sequence.patches.nbytes
