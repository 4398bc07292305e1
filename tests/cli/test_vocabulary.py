"""Text models at the command line: training, looking, and models of other people's kinds."""

import json
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from click.testing import CliRunner, Result

from gato_cli.main import cli
from gato_schemas.dataset import read_manifest
from tests.document_inputs import json_lines, records

ROOT = Path(__file__).parents[2]
PAGES = [path.read_text(encoding="utf-8") for path in (*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md")]
LONG = "\n\n".join(PAGES) * 2
TEXTS = (
    "go to the red ball",
    " a space before, two  inside, one behind ",
    "def area(w, h):\n\treturn w * h\r\n\n\n",
    "Café ﬁne ① 東京, Größe 🚀 ½ 12345",
    "\u00a0no-break\u2003em \u200b zero width",
    "<s> </s> <pad> <unk> <0x0A> <extra_id_0>",
    LONG,
)
KINDS: Mapping[str, Mapping[str, Any]] = {
    "t5": {
        "model_type": "unigram",
        "vocab_size": 1200,
        "pad_id": 0,
        "eos_id": 1,
        "unk_id": 2,
        "bos_id": -1,
        "normalization_rule_name": "nmt_nfkc",
        "character_coverage": 0.9995,
        "user_defined_symbols": [f"<extra_id_{n}>" for n in range(10)],
    },
    "llama": {
        "model_type": "bpe",
        "vocab_size": 1600,
        "byte_fallback": True,
        "split_digits": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "allow_whitespace_only_pieces": True,
    },
    "gemma": {
        "model_type": "bpe",
        "vocab_size": 1600,
        "pad_id": 0,
        "eos_id": 1,
        "bos_id": 2,
        "unk_id": 3,
        "byte_fallback": True,
        "split_digits": True,
        "add_dummy_prefix": False,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "user_defined_symbols": ["\n", "\n\n", "▁▁", "▁▁▁"],
    },
}
"""The settings that T5's, Llama's and Gemma's models were trained with, with fewer pieces."""


def run(*arguments: str | Path | int) -> Result:
    result = CliRunner().invoke(cli, [*map(str, arguments)], env={"COLUMNS": "160"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return json_lines(tmp_path / "corpus.jsonl", [{"text": page} for page in PAGES])


def ingest(source: Path, out: Path, *options: str | Path) -> Path:
    result = run("ingest", "massivetext", source, "--out", out, *options)
    assert result.exit_code == 0, result.stderr
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_a_users_model_gives_the_librarys_own_tokens(kind: str, tmp_path: Path) -> None:
    prefix = tmp_path / kind
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter("\n".join(PAGES).splitlines()),
        model_prefix=str(prefix),
        minloglevel=2,
        num_threads=1,
        **KINDS[kind],
    )
    model = prefix.with_suffix(".model")
    source = json_lines(tmp_path / "texts.jsonl", [{"text": text} for text in TEXTS])
    out = ingest(source, tmp_path / "out", "--text-model", model)
    library = sentencepiece.SentencePieceProcessor(model_file=str(model))
    end = library.eos_id()
    texts = groupby(records(out), key=lambda record: record.episode_id)
    found = [[token for record in chunks for token in record.sequence.tokens.tolist()] for _, chunks in texts]
    assert found == [[*library.encode(text), end] for text in TEXTS]
    vocabulary = read_manifest(out).vocabulary
    assert (vocabulary.text_size, vocabulary.continuous_offset) == (library.get_piece_size(), library.get_piece_size())
    assert (out / "text.model").read_bytes() == model.read_bytes()


def test_a_model_too_large_for_two_bytes_a_token(tmp_path: Path) -> None:
    """Gemma's 256,000 pieces: ids are stored as int32."""
    prefix = tmp_path / "large"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["go to the red ball"]),
        model_prefix=str(prefix),
        model_type="bpe",
        vocab_size=66_000,
        byte_fallback=True,
        user_defined_symbols=[f"<unused{n}>" for n in range(66_000 - 259 - 11)],
        minloglevel=2,
    )
    model = prefix.with_suffix(".model")
    source = json_lines(tmp_path / "texts.jsonl", [{"text": "go to <unused65000> the ball"}])
    out = ingest(source, tmp_path / "out", "--text-model", model)
    library = sentencepiece.SentencePieceProcessor(model_file=str(model))
    (record,) = records(out)
    assert record.sequence.tokens.dtype == np.int32
    assert record.sequence.tokens.tolist() == [*library.encode("go to <unused65000> the ball"), library.eos_id()]
    assert record.sequence.tokens.max() > 65_000


class TestTrain:
    def test_a_model_that_gives_every_text_back(self, corpus: Path, tmp_path: Path) -> None:
        out = tmp_path / "text.model"
        result = run("vocabulary", "train", corpus, "--size", 2000, "--out", out, "--json")
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)
        assert (found["size"], found["type"], found["documents"]) == (2000, "bpe", len(PAGES))
        assert found["characters"] == sum(map(len, PAGES))
        assert "--text-model" in result.stderr
        library = sentencepiece.SentencePieceProcessor(model_file=str(out))
        assert library.get_piece_size() == 2000
        assert [library.decode(library.encode(text)) for text in TEXTS[:5]] == list(TEXTS[:5])

    def test_the_same_texts_give_the_same_bytes(self, corpus: Path, tmp_path: Path) -> None:
        for name in ("a", "b"):
            assert run("vocabulary", "train", corpus, "--size", 1000, "--out", tmp_path / name).exit_code == 0
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_a_small_corpus_says_the_largest_size(self, corpus: Path, tmp_path: Path) -> None:
        out = tmp_path / "text.model"
        refused = run("vocabulary", "train", corpus, "--out", out)
        assert refused.exit_code == 1
        assert not out.exists()
        _, _, after = refused.stderr.partition("give --size ")
        size = int(after.split(",")[0])
        assert f"permit at most {size} pieces, not 32000" in refused.stderr
        assert run("vocabulary", "train", corpus, "--out", out, "--size", size).exit_code == 0
        assert run("vocabulary", "train", corpus, "--out", out, "--size", size + 1, "--overwrite").exit_code == 1

    def test_too_few_pieces_for_the_bytes(self, corpus: Path, tmp_path: Path) -> None:
        refused = run("vocabulary", "train", corpus, "--out", tmp_path / "text.model", "--size", 10)
        assert refused.exit_code == 1
        assert "Error: 10 pieces are too few, bytes and characters alone are" in refused.stderr

    def test_nothing_is_overwritten_unasked(self, corpus: Path, tmp_path: Path) -> None:
        out = tmp_path / "text.model"
        out.write_text("mine")
        refused = run("vocabulary", "train", corpus, "--out", out, "--size", 1000)
        assert refused.exit_code == 1
        assert "exists already: choose another --out, or --overwrite to replace it" in refused.stderr
        assert out.read_text() == "mine"
        assert run("vocabulary", "train", corpus, "--out", out, "--size", 1000, "--overwrite").exit_code == 0

    def test_a_dry_run_counts(self, corpus: Path, tmp_path: Path) -> None:
        result = run("vocabulary", "train", corpus, "--out", tmp_path / "m", "--dry-run", "--json", "--characters", 500)
        assert json.loads(result.stdout)["characters"] == 500
        assert not (tmp_path / "m").exists()

    @pytest.mark.parametrize(
        ("name", "message"),
        [("gone", "gone does not exist"), ("empty.jsonl", "the input has no text: nothing was written")],
    )
    def test_nothing_to_train_on(self, name: str, message: str, tmp_path: Path) -> None:
        (tmp_path / "empty.jsonl").touch()
        refused = run("vocabulary", "train", tmp_path / name, "--out", tmp_path / "m")
        assert refused.exit_code == 1
        assert message in refused.stderr


class TestShow:
    def test_the_packaged_model(self) -> None:
        found = json.loads(run("vocabulary", "show", "--text", "go to", "--json").stdout)
        assert (found["model"], found["size"], found["type"], found["bytes"]) == ("packaged", 32_000, "bpe", 256)
        assert found["ranges"] == {
            "text": [0, 31_999],
            "discrete": [0, 1023],
            "continuous": [32_000, 33_023],
            "separator": [33_024, 33_024],
        }
        assert found["tokens"] == [{"id": 514, "piece": "▁go"}, {"id": 297, "piece": "▁to"}]

    def test_the_model_of_a_dataset(self, tmp_path: Path) -> None:
        out = ingest(json_lines(tmp_path / "a.jsonl", [{"text": "go"}]), tmp_path / "out")
        lines = run("vocabulary", "show", out).stdout.splitlines()
        assert lines[0].split() == ["model", str(out)]
        assert "special        unknown 0, begin 1, end 2" in lines

    def test_a_dataset_without_text(self, recording: Path, tmp_path: Path) -> None:
        assert run("ingest", "atari", recording, "--out", tmp_path / "out").exit_code == 0
        refused = run("vocabulary", "show", tmp_path / "out")
        assert refused.exit_code == 1
        assert refused.stderr.splitlines() == [
            f"Error: {tmp_path}/out has no text, so it keeps no text model: leave MODEL out to see the packaged one"
        ]

    def test_a_folder_that_is_no_dataset(self, recording: Path) -> None:
        refused = run("vocabulary", "show", recording)
        assert refused.exit_code == 1
        assert refused.stderr.startswith(f"Error: {recording} has no dataset.json: it is not a dataset of gato-data")

    def test_what_is_no_model(self, tmp_path: Path) -> None:
        refused = run("vocabulary", "show", ROOT / "README.md")
        assert refused.exit_code == 1
        assert "README.md is neither a SentencePiece model nor a tokenizer.json of Hugging Face: it" in refused.stderr


def test_datasets_of_different_text_models_are_not_mixed(corpus: Path, tmp_path: Path) -> None:
    model = tmp_path / "text.model"
    assert run("vocabulary", "train", corpus, "--size", 2000, "--out", model).exit_code == 0
    ingest(corpus, tmp_path / "packaged")
    ingest(corpus, tmp_path / "own", "--text-model", model)
    mixture = tmp_path / "mixture.json"
    refused = run("mix", "--weights", "uniform", "--out", mixture, tmp_path / "packaged", tmp_path / "own")
    assert refused.exit_code == 1
    assert "Error: packaged and own have different vocabularies" in refused.stderr
    assert "ingest one of them again with the other's text model" in refused.stderr
    assert not mixture.exists()
