"""A tokenizer.json at the command line: from texts and missions to shards, inspection, a model and what it writes."""

import json
import sys
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from tokenizers import Tokenizer

import gato_data
from gato_cli.main import cli
from gato_data.tokenizers.text import TextTokenizer
from gato_schemas.dataset import read_manifest
from gato_schemas.sequence import Modality
from tests.document_inputs import json_lines, records
from tests.pipelines.live import compare
from tests.tokenizer_files import bert, dressed, gpt2, llama, save

BABYAI = Path(__file__).parents[1] / "data" / "rlds" / "babyai"
TEXTS = (
    "go to the red ball",
    "an <|im_end|> and an <|endoftext|> in a text",
    "Größe 12 🚀\n\n",
    "a <tool>" + " go" * 40,
)
NEITHER = "is neither a SentencePiece model nor a tokenizer.json of Hugging Face"


def run(*arguments: str | Path | int) -> Result:
    result = CliRunner().invoke(cli, [*map(str, arguments)], env={"COLUMNS": "160"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def done(*arguments: str | Path | int) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refused(*arguments: str | Path | int) -> str:
    result = run(*arguments)
    assert result.exit_code == 1, result.stdout
    return result.stderr.splitlines()[-1]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return json_lines(tmp_path / "texts.jsonl", [{"text": text} for text in TEXTS])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save(dressed(gpt2()), tmp_path / "tokenizer.json")


def test_the_ids_of_a_dataset_are_the_librarys(texts: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done("ingest", "massivetext", texts, "--out", out, "--text-model", model)
    library = Tokenizer.from_file(str(model))
    library.no_truncation()
    library.no_padding()
    library.encode_special_tokens = True
    end = library.token_to_id("<|endoftext|>")
    chunks = groupby(records(out), key=lambda record: record.episode_id)
    found = [[token for record in group for token in record.sequence.tokens.tolist()] for _, group in chunks]
    assert found == [[*library.encode(text, add_special_tokens=False).ids, end] for text in TEXTS]
    manifest, size = read_manifest(out), library.get_vocab_size()
    vocabulary = manifest.vocabulary
    assert (vocabulary.text_size, vocabulary.continuous_offset, vocabulary.separator) == (size, size, size + 1024)
    assert vocabulary.size == size + 1025
    assert "tokenizers" in manifest.libraries
    assert "sentencepiece" not in manifest.libraries
    assert "end_token" not in manifest.tokenization
    assert (out / "text.model").read_bytes() == model.read_bytes()
    done("verify", out)
    shown = done("inspect", "shard", out / "out-train.tfrecord-00000-of-00001", "--record", 0)
    assert "Ġred" in shown
    assert json.loads(done("vocabulary", "show", out, "--json"))["sha256"] == vocabulary.text_model


def test_missions_live_and_read_back(tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    options = ("--text-model", model, "--discrete-ids", "separate")
    dry = done("ingest", "babyai", BABYAI, "--out", out, *options, "--dry-run")
    assert "mission" in dry
    done("ingest", "babyai", BABYAI, "--out", out, *options)
    assert compare(out, [BABYAI]) > 10
    dataset = gato_data.open(out)
    (task,), episode = dataset.tasks.values(), dataset.episodes[0]
    decoded = gato_data.decode(episode.sequence, task)
    missions = decoded["observations"]["mission"]
    assert missions[0].startswith("go to ")
    again = gato_data.encode(decoded, task)
    np.testing.assert_array_equal(again.tokens, episode.sequence.tokens)
    first = episode.sequence.tokens[episode.sequence.modality == Modality.TEXT]
    assert first.max() < read_manifest(out).vocabulary.text_size


@pytest.fixture
def played(texts: Path, model: Path, tmp_path: Path) -> Path:
    """A run on texts and missions, which has lost its datasets."""
    pytest.importorskip("torch", reason="needs torch, of the extra [train]")
    for source, folder in (("massivetext", texts), ("babyai", BABYAI)):
        options = ("--text-model", model, "--discrete-ids", "separate")
        done("ingest", source, folder, "--out", tmp_path / source, *options)
    mixture = tmp_path / "mixture.json"
    done("mix", "--weights", "uniform", "--out", mixture, tmp_path / "massivetext", tmp_path / "babyai")
    small = ("--width", 32, "--blocks", 1, "--heads", 2, "--feed-forward", 32, "--device", "cpu")
    numbers = ("--steps", 1, "--batch-size", 2, "--context-length", 256)
    done("train", "--mixture", mixture, "--model", "tiny", *small, *numbers, "--out", tmp_path / "run")
    mixture.unlink()
    return tmp_path / "run"


def test_a_policy_carries_it(played: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gato_trainer.acting import load_policy
    from gato_trainer.checkpoints.export import export

    exported = export(played, tmp_path / "model.safetensors")
    library = TextTokenizer.load(model)
    for path in (played, exported):
        policy = load_policy(path)
        text = policy.generate(None, "go to the", temperature=0, tokens=8)
        assert text == policy.generate(None, "go to the", temperature=0, tokens=8)
        assert policy._text_model == library
        assert policy.card.vocabulary.text_size == library.size
        task = next(each for each in policy.tasks if each.info.actions)
        policy.reset(task=task.name, seed=0)
        seen = {f.name: np.zeros(f.shape, f.dtype) for f in task.info.observations if f.modality != "text"}
        assert policy.act({**seen, "mission": "go to the red ball"})
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    policy = load_policy(played)
    with pytest.raises(gato_data.errors.MissingPackageError, match=r"pip install 'gato-data\[tokenizers\]'"):
        policy.generate(None, "go to the")


def test_training_does_not_need_the_package(
    texts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done("ingest", "massivetext", texts, "--out", tmp_path / "texts", "--text-model", model)
    mixture = tmp_path / "mixture.json"
    done("mix", "--weights", "uniform", "--out", mixture, tmp_path / "texts")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    small = ("--width", 32, "--blocks", 1, "--heads", 2, "--feed-forward", 32, "--device", "cpu")
    numbers = ("--steps", 1, "--batch-size", 2, "--context-length", 32)
    done("train", "--mixture", mixture, "--model", "tiny", *small, *numbers, "--out", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "policy.json").read_bytes())["text_model"]
    shown = run("inspect", "shard", tmp_path / "texts" / "texts-train.tfrecord-00000-of-00001", "--record", 0)
    assert shown.exit_code == 0
    assert "text tokens have no text: the text model is a tokenizer.json" in shown.stdout + shown.stderr
    assert "needs the package tokenizers" in refused(
        "ingest", "massivetext", texts, "--out", tmp_path / "again", "--text-model", model
    )


def test_the_end_of_texts(texts: Path, tmp_path: Path) -> None:
    made = gpt2(specials=("<|stop|>",))
    model, out = save(made, tmp_path / "tokenizer.json"), tmp_path / "out"
    command = ("ingest", "massivetext", texts, "--out", out, "--text-model", model)
    message = refused(*command)
    assert "no special token that is known to end a text: name one with --end-token" in message
    assert "the text model has no piece '<|halt|>': --end-token takes one" in refused(
        *command, "--end-token", "<|halt|>"
    )
    done(*command, "--end-token", "<|stop|>")
    assert records(out)[0].sequence.tokens[-1] == made.token_to_id("<|stop|>")
    assert read_manifest(out).tokenization["end_token"] == "<|stop|>"
    done(*command[:3], "--out", tmp_path / "other", *command[5:], "--no-end-of-text")
    assert records(tmp_path / "other")[0].sequence.tokens[-1] != made.token_to_id("<|stop|>")
    assert "other settings" in refused(*command, "--end-token", "go", "--append")


def test_datasets_of_other_text_models_are_not_mixed(texts: Path, model: Path, tmp_path: Path) -> None:
    for name, file in (("one", model), ("other", save(llama(), tmp_path / "llama.json"))):
        done(
            "ingest", "massivetext", texts, "--out", tmp_path / name, "--text-model", file, "--discrete-ids", "separate"
        )
    mixture = ("mix", "--weights", "uniform", "--out", tmp_path / "mixture.json", tmp_path / "one", tmp_path / "other")
    assert "one and other have different vocabularies" in refused(*mixture)


def test_unknown_characters_are_counted(texts: Path, tmp_path: Path) -> None:
    """A model without bytes: the share of unknown tokens is told, as for SentencePiece."""
    model = save(bert(), tmp_path / "tokenizer.json")
    many = json_lines(tmp_path / "many.jsonl", [{"text": "go 東 京"}])
    options = ("--text-model", model, "--discrete-ids", "separate")
    result = run("ingest", "massivetext", many, "--out", tmp_path / "out", *options)
    assert result.exit_code == 0
    assert "of the text tokens are no piece of the text model" in result.stderr


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.json", '{"go": 0, "to": 1}', "is not a tokenizer.json of Hugging Face: it has no model, as a vocab"),
        ("tokenizer.json", '{"version": "1.0", "mod', "is not a tokenizer.json of Hugging Face: it cannot"),
        ("tokenizer.json", "", f"tokenizer.json {NEITHER}: the file is empty"),
        ("merges.txt", "#version: 0.2\ng o\n", f"merges.txt {NEITHER}: it cannot be parsed"),
        ("vocab.json", '["go", "to"]', f"vocab.json {NEITHER}: it begins as a JSON list, a tokenizer"),
    ],
)  # fmt: skip
def test_near_right_files(name: str, content: str, message: str, texts: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    out = tmp_path / "out"
    assert message in refused("ingest", "massivetext", texts, "--out", out, "--text-model", tmp_path / name)
    assert message in refused("vocabulary", "show", tmp_path / name)
    assert not (out / "dataset.json").exists()


def test_a_small_model_is_told_by_the_options_that_help(texts: Path, tmp_path: Path) -> None:
    model = save(bert(), tmp_path / "tokenizer.json")
    pieces = Tokenizer.from_file(str(model)).get_vocab_size()
    command = ("ingest", "massivetext", texts, "--out", tmp_path / "out", "--text-model", model)
    assert refused(*command).endswith(
        f"a text model of {pieces} pieces cannot share its ids with 1024 discrete values: give --discrete-ids "
        "separate, or a --text-model of at least 1024 pieces"
    )
    done(*command, "--discrete-ids", "separate")


def test_the_folder_of_a_model(model: Path, texts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gpt2"
    folder.mkdir()
    model.rename(folder / "tokenizer.json")
    wanted = f"give {folder}/tokenizer.json"
    assert wanted in refused("ingest", "massivetext", texts, "--out", tmp_path / "out", "--text-model", folder)
    assert wanted in refused("vocabulary", "show", folder)


def test_what_a_model_is_like(model: Path) -> None:
    found = json.loads(done("vocabulary", "show", model, "--json", "--text", "go <|im_end|>"))
    assert (found["format"], found["type"], found["bytes"], found["normalization"]) == (
        "tokenizer.json",
        "bpe",
        256,
        "none",
    )
    assert found["special"] == {"end": 0}
    assert found["control"] == 2
    assert found["tokens"][0]["piece"] == "go"
    assert "<|im_end|>" not in [token["piece"] for token in found["tokens"]]
