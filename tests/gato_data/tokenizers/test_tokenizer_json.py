"""Text models that are a tokenizer.json: the library's ids, texts that come back, and files of anybody."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from gato_data.errors import EpisodeError, FormatError, MissingPackageError, SettingError
from gato_data.tokenizers.text import TextTokenizer
from tests.tokenizer_files import KINDS, dressed, gpt2, save

TEXTS = (
    "go to the red ball",
    " a space before, two  inside, one behind ",
    "def area(w, h):\n\treturn w * h\r\n\n\n",
    "Café ﬁne ① 東京, Größe 🚀 ½ 12345",
    "a <tool> and <|im_end|> or </s> <unk> <0x0A> [SEP]",
    "",
)


def library(path: Path) -> Tokenizer:
    made = Tokenizer.from_file(str(path))
    made.no_truncation()
    made.no_padding()
    made.encode_special_tokens = True
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_the_librarys(kind: str, tmp_path: Path) -> None:
    path = save(dressed(KINDS[kind]()), tmp_path / "tokenizer.json")
    model, plain = TextTokenizer.load(path), library(path)
    for text in TEXTS:
        (ids,) = model.encode([text])
        assert ids.tolist() == plain.encode(text, add_special_tokens=False).ids
        assert model.decode(ids) == plain.decode(ids.tolist())
        assert "<|im_end|>" not in [model.piece(int(id)) for id in ids]
    assert model.size == max(plain.get_vocab().values()) + 1 == plain.get_vocab_size()
    (ids,) = model.encode(["a <tool>"])
    assert model.piece(int(ids[-1])) == "<tool>"
    assert model.decode([int(ids[-1]), model.id_of("<|im_end|>") or 0]) == "<tool>"


def test_golden_ids(tmp_path: Path) -> None:
    """Ids 0 to 255 of a byte-level model are its characters in their order, whatever it was trained on."""
    vocab = {token: number for number, token in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    vocab |= {"go": 256, "Ġto": 257, "Ġt": 258}
    made = Tokenizer(models.BPE(vocab, [("g", "o"), ("Ġ", "t"), ("Ġt", "o")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model = TextTokenizer.load(save(made, tmp_path / "tokenizer.json"))
    assert model.encode(["go to go\n", "é"])[0].tolist() == [256, 257, 220, 256, 198]
    assert [model.piece(id) for id in model.encode(["é"])[0].tolist()] == ["Ã", "©"]
    assert (model.size, model.eos_id, model.unknown_id) == (259, None, None)


GPT2 = TextTokenizer.of(gpt2().to_str().encode())


@settings(max_examples=200, deadline=None)
@given(st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("▁Ġ \n\t\ue000é🙂<|endoftext|>"))))
def test_every_text_comes_back_from_bytes(text: str) -> None:
    (ids,) = GPT2.encode([text])
    assert GPT2.decode(ids) == text
    assert bool((ids < GPT2.size).all())
    assert GPT2.eos_id not in ids.tolist()


@pytest.mark.parametrize(
    ("kind", "end", "unknown"),
    [("gpt2", "<|endoftext|>", None), ("llama", "</s>", None), ("t5", "</s>", "<unk>"), ("bert", "[SEP]", "[UNK]")],
)
def test_ends_and_unknown_pieces(kind: str, end: str, unknown: str | None) -> None:
    made = KINDS[kind]()
    model = TextTokenizer.of(made.to_str().encode())
    assert model.eos_id == made.token_to_id(end)
    assert model.unknown_id == (None if unknown is None else made.token_to_id(unknown))


def test_ids_with_gaps(tmp_path: Path) -> None:
    """Tokens may be added far behind the others: ids are below the highest one, and gaps are no token."""
    made = gpt2()
    content = json.loads(made.to_str())
    content["added_tokens"].append({**content["added_tokens"][0], "id": 5000, "content": "<far>", "special": False})
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content))
    model = TextTokenizer.load(path)
    far = library(path).token_to_id("<far>")
    assert model.size == far + 1
    assert model.piece(far) == "<far>"
    assert model.decode([4000]) == "" if far > 4000 else True


def test_pickle_carries_the_file_alone() -> None:
    copy = pickle.loads(pickle.dumps(GPT2))
    assert copy == GPT2
    assert "_tokenizer" not in vars(copy)
    assert copy.encode(["go to"])[0].tolist() == GPT2.encode(["go to"])[0].tolist()


def replaced(**changes: Any) -> bytes:
    content = json.loads(gpt2().to_str())
    for name, value in changes.items():
        (content["model"] if name in content["model"] else content)[name] = value
    return json.dumps(content).encode()


def doubling(steps: int) -> dict[str, Any]:
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    return {"type": "Sequence", "normalizers": [step] * steps}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "it cannot be parsed"),
        (b"\xef\xbb\xbf\n [1]", "is neither a SentencePiece model nor a tokenizer.json .*: it begins as a JSON list"),
        (b'{"a": 0, "b": 1}', "it has no model, as a vocab.json or tokenizer_config.json"),
        (b'{"tokenizer_class": "LlamaTokenizer", "eos_token": "</s>"}', "it has no model"),
        (b'{"model": {}}', "the package tokenizers cannot load it"),
        (b'{"model": ' + b'[' * 100_000, "it cannot be parsed"),
        (b'{"normalizer": ' + b'{"normalizers": [' * 5000 + b']}' * 5000 + b', "model": {}}', "it cannot be parsed"),
        (replaced()[:2000], "it cannot be parsed"),
        (replaced(version="9"), "the package tokenizers cannot load it"),
        (replaced(dropout=0.1), r"leaves out merges at random \(dropout 0.1\)"),
        (replaced(vocab={"a": 2**32 - 1}, merges=[], unk_token="a"), "its ids reach 4294967295"),
        (replaced(vocab={"a": 0, "b" * 5000: 1}, merges=[], unk_token="a"), "a token has more than 4096 characters"),
        (replaced(vocab={"a": 0}, merges=[]), "characters which it does not know would be lost"),
        (replaced(vocab={}, merges=[], added_tokens=[]), "it has no tokens"),
        (replaced(normalizer=doubling(40)), "make a text more than 64 times as long"),
        (replaced(normalizer={"type": "Prepend", "prepend": "a" * 5000}), "make a text more than 64 times as long"),
        (replaced(decoder={"type": "Sequence", "decoders": doubling(40)["normalizers"]}), "more than 64 times as long"),
        (replaced(normalizer={"type": "Replace", "pattern": {"Regex": ""}, "content": "a" * 99}), "64 times as long"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_used(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=reason) as caught:
        TextTokenizer.load(path)
    assert str(caught.value).startswith((f"{path} is not a ", f"{path} is neither a "))


def test_what_fails_at_a_text_costs_that_text() -> None:
    """A word level without a token for other words; a regular expression that backtracks without end."""
    words = {"type": "WordLevel", "vocab": {"go": 0}, "unk_token": "[UNK]"}
    model = TextTokenizer.of(replaced(model=words, pre_tokenizer={"type": "Whitespace"}))
    assert model.encode(["go"])[0].tolist() == [0]
    with pytest.raises(EpisodeError, match=r"fails at a text of 4 characters \(WordLevel error: Missing \[UNK\]"):
        model.encode(["stop"])
    split = {"type": "Split", "pattern": {"Regex": "(a+)+b"}, "behavior": "Isolated", "invert": False}
    with pytest.raises(EpisodeError, match="fails at a text of 40 characters"):
        TextTokenizer.of(replaced(pre_tokenizer=split)).encode(["a" * 40])


def test_a_folder_of_a_model_names_its_file(tmp_path: Path) -> None:
    save(gpt2(), tmp_path / "tokenizer.json")
    with pytest.raises(SettingError, match=r"Is a directory; give .*/tokenizer\.json$"):
        TextTokenizer.load(tmp_path)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = save(gpt2(), tmp_path / "tokenizer.json")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(
        MissingPackageError, match=r"needs the package tokenizers: pip install 'gato-data\[tokenizers\]'"
    ):
        TextTokenizer.load(path)


def test_the_package_is_imported_only_when_it_is_needed() -> None:
    code = (
        "import sys; from gato_data.tokenizers.text import TextTokenizer; TextTokenizer.default().encode(['go']); "
        "assert 'tokenizers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_trained_model_without_bytes_is_told_how_to_get_them(tmp_path: Path) -> None:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel()
    made.train_from_iterator(["go to"], trainers.BpeTrainer(show_progress=False))
    with pytest.raises(FormatError, match=r"train it with one of them .*initial_alphabet=ByteLevel\.alphabet"):
        TextTokenizer.load(save(made, tmp_path / "tokenizer.json"))
