import hashlib
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, FormatError, OutputError, SettingError
from gato_data.tokenizers.text import MAX_MODEL_BYTES, TextTokenizer

PACKAGED = Path(sys.modules[TextTokenizer.__module__].__file__ or "").parents[1] / "assets" / "text-32k.model"
SHA256 = "a6b7a9512f72857b86e439eba0f7938491a312801b6b7bc831b1b55a78e3bb9c"
TOKENIZER = TextTokenizer.default()
PLAIN = sentencepiece.SentencePieceProcessor(model_file=str(PACKAGED))

GOLDEN = {
    "": "",
    "a red tower stands above trees next to a lake.": "261 1337 8512 10115 2079 2580 1967 297 261 5371 31820",
    "What color is the woman's suit?": "1659 2322 336 270 1803 31826 31802 3202 31884",
    "go to the red ball": "514 297 270 1337 2358",
    "def area(w, h):\n    return w * h\n": "759 1834 31831 31813 31816 294 2630 305 1280 272 734 294 31817",
    "naïve café “Zürich” 12 €": "10127 31940 330 20251 31907 714 31888 31914 8167 31877 31794 31843 31856 31794 31929",
    "你好 🙂": "31794 231 192 163 232 168 192 31794 243 162 156 133",
    "\ttab  two spaces \r\n": "10516 9342 31794 740 8183 31794 16 31817",
}


def train(**changes: Any) -> bytes:
    """A tiny model of another kind than the packaged one."""
    model = io.BytesIO()
    corpus = ["the red tower stands above the trees", "a tower of tiled roofs", "pick up the red ball"] * 20
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=model, minloglevel=2, hard_vocab_limit=False, **changes
    )
    return model.getvalue()


def test_the_packaged_model_is_the_one_the_readme_describes() -> None:
    readme = (PACKAGED.parent / "README.md").read_text(encoding="utf-8")
    assert TOKENIZER.sha256 == hashlib.sha256(PACKAGED.read_bytes()).hexdigest() == SHA256
    assert SHA256 in readme
    assert TOKENIZER.size == 32_000
    assert TOKENIZER.eos_id == 2
    assert [TOKENIZER.piece(id) for id in (0, 1, 2, 3, 258)] == ["<unk>", "<s>", "</s>", "<0x00>", "<0xFF>"]
    assert PLAIN.pad_id() == -1


@pytest.mark.parametrize(("text", "ids"), GOLDEN.items())
def test_golden_ids(text: str, ids: str) -> None:
    golden = [int(id) for id in ids.split()]
    (encoded,) = TOKENIZER.encode([text])
    assert encoded.tolist() == golden == PLAIN.encode(text)
    assert encoded.dtype == np.int32
    assert TOKENIZER.decode(golden) == text


TEXTS = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("▁ \n\t\ue000\ue001▅\0é🙂<0xE2>")))


@settings(max_examples=300, deadline=None)
@given(TEXTS)
@example("▁")
@example(" ▁ \ue000▁▁")
@example("\ue000" + "\ue001▁\ue000")
@example("  two  spaces,\n\n\ttabs \r\n and a trailing space ")
@example("</s><s><unk><0x0A>")
@example("\ufeff\ufffd\U0010ffff")
@example("")
def test_every_unicode_text_comes_back(text: str) -> None:
    (ids,) = TOKENIZER.encode([text])
    assert TOKENIZER.decode(ids) == text
    assert bool(((ids > 2) & (ids < TOKENIZER.size)).all())
    if "▁" not in text:
        assert ids.tolist() == PLAIN.encode(text)


@settings(max_examples=30, deadline=None)
@given(st.lists(TEXTS, max_size=6))
def test_texts_are_encoded_one_by_one(texts: list[str]) -> None:
    together = TOKENIZER.encode(texts)
    assert [ids.tolist() for ids in together] == [TOKENIZER.encode([text])[0].tolist() for text in texts]


def test_what_has_no_piece_becomes_its_utf8_bytes() -> None:
    (ids,) = TOKENIZER.encode(["好"])
    assert [TOKENIZER.piece(int(id)) for id in ids] == ["▁", "<0xE5>", "<0xA5>", "<0xBD>"]
    assert TOKENIZER.decode(ids[:2]) == "\ufffd"


def test_digits_stand_alone_and_words_do_not_depend_on_where_they_stand() -> None:
    assert [TOKENIZER.piece(int(id)) for id in TOKENIZER.encode(["2041"])[0]] == ["▁", "2", "0", "4", "1"]
    alone, inside = TOKENIZER.encode(["tower", "a red tower"])
    assert alone.tolist() == inside[-1:].tolist()


def test_a_repeated_text_is_tokenized_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    original = TextTokenizer._encode_text

    def counted(self: TextTokenizer, text: str) -> NDArray[np.int32]:
        calls.append(text)
        return original(self, text)

    monkeypatch.setattr(TextTokenizer, "_encode_text", counted)
    first, other, again = TOKENIZER.encode(["go to the red ball", "open the door", "go to the red ball"])
    assert calls == ["go to the red ball", "open the door"]
    assert first is again
    assert not np.array_equal(first, other)
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 7


def test_one_text_instead_of_a_sequence_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="wrap a single text in a list"):
        TOKENIZER.encode("go to the red ball")


@pytest.mark.parametrize(("text", "position"), [("\ud800", 0), ("tower \udfff▁", 6)])
def test_lone_surrogates_are_refused_with_their_position(text: str, position: int) -> None:
    code = f"U\\+{ord(text[position]):04X} at character {position} of {len(text)}"
    with pytest.raises(EpisodeError, match=code) as caught:
        TOKENIZER.encode(["fine", text])
    assert caught.value.stage == "tokenize"


def test_a_text_that_leaves_no_stand_in_is_refused() -> None:
    with pytest.raises(EpisodeError, match="every private-use character"):
        TOKENIZER.encode(["▁" + "".join(map(chr, range(0xE000, 0xF900)))])


@pytest.mark.parametrize("id", [-1, 32_000, 65_535])
def test_ids_outside_the_model_are_refused(id: int) -> None:
    with pytest.raises(FormatError, match=f"token id {id} is not a text token.*0 to 31999"):
        TOKENIZER.decode([5, id])
    with pytest.raises(FormatError, match=f"token id {id} "):
        TOKENIZER.piece(id)


def test_decode_takes_arrays_and_drops_control_pieces() -> None:
    (ids,) = TOKENIZER.encode(["a red tower"])
    assert TOKENIZER.decode(np.append(ids.astype(np.uint16), np.uint16(2))) == "a red tower"
    assert TOKENIZER.decode([]) == ""


def test_pickle_carries_the_model_and_not_the_processor() -> None:
    assert TOKENIZER.encode(["warm"])  # so that the processor exists
    pickled = pickle.dumps(TOKENIZER)
    assert len(pickled) < len(TOKENIZER.model_bytes) + 200
    copy = pickle.loads(pickled)
    assert copy == TOKENIZER
    assert hash(copy) == hash(TOKENIZER)
    assert "_processor" not in vars(copy)
    assert copy.encode(["a red tower"])[0].tolist() == PLAIN.encode("a red tower")


def test_save_and_load(tmp_path: Path) -> None:
    path = tmp_path / "text.model"
    TOKENIZER.save(path)
    assert path.read_bytes() == PACKAGED.read_bytes()
    assert TextTokenizer.load(path) == TOKENIZER
    assert TextTokenizer.load(str(path)).sha256 == SHA256
    with pytest.raises(OutputError, match="cannot write the text model"):
        TOKENIZER.save(tmp_path / "no-folder" / "text.model")


def test_another_model_keeps_its_own_settings(tmp_path: Path) -> None:
    path = tmp_path / "unigram.model"
    path.write_bytes(train(model_type="unigram", vocab_size=60, eos_id=-1))
    tokenizer = TextTokenizer.load(path)
    plain = sentencepiece.SentencePieceProcessor(model_file=str(path))
    assert tokenizer != TOKENIZER
    assert (tokenizer.size, tokenizer.eos_id) == (plain.get_piece_size(), None)
    for text in ("the red tower", "▁ no byte pieces: ▁"):
        assert tokenizer.encode([text])[0].tolist() == plain.encode(text)


def test_a_model_with_byte_pieces_gives_the_word_sign_back(tmp_path: Path) -> None:
    path = tmp_path / "bytes.model"
    path.write_bytes(train(model_type="unigram", vocab_size=320, byte_fallback=True))
    tokenizer = TextTokenizer.load(path)
    assert tokenizer.decode(tokenizer.encode(["the ▁ \ue000 tower"])[0]) == "the ▁ \ue000 tower"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 537116\n", "git lfs pull"),
        (bytes(np.random.default_rng(0).integers(0, 256, 4096, np.uint8)), "cannot be parsed"),
        (PACKAGED.read_bytes()[:100_000], "cannot be parsed"),
        (b"the red tower\n" * 10, "cannot be parsed"),
    ],
    ids=["empty", "lfs-pointer", "random", "truncated", "text"],
)
def test_files_that_are_not_models(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "wrong.model"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=f"wrong.model is neither a SentencePiece model nor .*: .*{reason}"):
        TextTokenizer.load(path)


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.model"
    path.touch()
    os.truncate(path, MAX_MODEL_BYTES + 1)
    with pytest.raises(FormatError, match="larger than 64 MiB"):
        TextTokenizer.load(path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"cannot read the text model .*none\.model: No such file"):
        TextTokenizer.load(tmp_path / "none.model")
    with pytest.raises(SettingError, match="Is a directory"):
        TextTokenizer.load(tmp_path)


def test_sentencepiece_is_imported_only_when_it_is_needed() -> None:
    code = (
        "import sys; from gato_data.tokenizers.text import TextTokenizer; "
        "assert 'sentencepiece' not in sys.modules; TextTokenizer.default(); assert 'sentencepiece' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
