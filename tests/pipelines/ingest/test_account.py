"""The account from its makers to the manifest and to what a user sees."""

import json
from pathlib import Path

import numpy as np
import pytest

from gato_data.report.account import account_facts
from gato_data.tokenizers.text import TextTokenizer
from gato_pipelines.ingest.account import PartAccount
from gato_pipelines.source import Item
from gato_schemas.account import MAX_NOTES, Note
from gato_schemas.dataset import read_manifest
from gato_schemas.index import read_index
from tests.cli.command import run
from tests.pipelines.sources.made import ACTION, REWARD, STATE, episode, rewarded, write
from tests.rlds_inputs import ingest


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Nine episodes of three timesteps with actions inside the range, and three of one timestep with one outside."""
    short = episode(
        {
            "observation/state": np.zeros((1, 2), np.float32),
            "action": np.full((1, 1), 3, np.float32),
            "reward": np.ones(1, np.float32),
        }
    )
    return write(tmp_path / "arm" / "1.0.0", (STATE, ACTION, REWARD), [*[rewarded(1)] * 9, *[short] * 3], shards=2)


WANTED = [
    Note("clipped", "values of action action of task arm lie outside its range", 3),
    Note("short", "episodes of task arm are one timestep long", 3),
]


def test_the_manifest_keeps_it_and_the_indexes_what_their_part_found(mixed: Path, tmp_path: Path) -> None:
    summary = ingest(mixed, tmp_path / "out", source="rlds", settings={"final_step": "keep"})
    manifest = read_manifest(tmp_path / "out")
    assert manifest.account == WANTED
    indexes = [read_index(path) for path in sorted((tmp_path / "out").glob("*.index"))]
    assert [index.header.notes for index in indexes] == [[], WANTED[1:]]
    assert account_facts(manifest) == [
        ("read", "12 episodes, 30 timesteps, 120 tokens"),
        ("left out", "0 episodes"),
        ("clipped", "values of action action of task arm lie outside its range (3)"),
        ("one timestep", "episodes of task arm are one timestep long (3)"),
    ]
    assert "25.0% of the episodes are one timestep long: does the input say where episodes end?" in summary.warnings


def test_the_account_does_not_depend_on_the_workers(mixed: Path, tmp_path: Path) -> None:
    ingest(mixed, tmp_path / "a" / "same", source="rlds", workers=1)
    ingest(mixed, tmp_path / "b" / "same", source="rlds", workers=2)
    first, second = ((tmp_path / name / "same" / "dataset.json").read_bytes() for name in "ab")
    assert first == second


def test_ingest_ends_with_it_and_inspect_shows_it(mixed: Path, tmp_path: Path) -> None:
    arguments = ("ingest", "rlds", mixed, "--final-step", "keep", "--out", tmp_path / "out")
    printed = run(*arguments).stdout
    assert "one timestep  episodes of task arm are one timestep long (3)\n" in printed
    shown = run("inspect", "dataset", tmp_path / "out").stdout
    assert "Account\nread          12 episodes, 30 timesteps, 120 tokens\n" in shown
    found = json.loads(run("inspect", "dataset", tmp_path / "out", "--json").stdout)
    assert found["account"][1] == {"kind": "short", "text": WANTED[1].text, "count": 3}


@pytest.fixture(scope="module")
def no_bytes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text model as T5's: what it has no piece for is one unknown piece."""
    import sentencepiece

    path = tmp_path_factory.mktemp("model") / "plain.model"
    sentences = ["the cat sat on the mat", "a red cup of coffee", "words of the language"] * 20
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences), model_writer=file, vocab_size=26, model_type="unigram", minloglevel=2
        )
    return path


def test_unknown_pieces_are_counted_warned_about_and_judged(no_bytes: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "the cat"}\n{"text": "\u65e5\u672c\u8a9e the \u732b"}\n')
    arguments = (
        "ingest",
        "massivetext",
        tmp_path / "a.jsonl",
        "--text-model",
        no_bytes,
        "--discrete-ids",
        "separate",
        "--out",
        tmp_path / "out",
    )
    done = run(*arguments)
    manifest = read_manifest(tmp_path / "out")
    assert manifest.account == [Note("unknown", "text tokens of task massivetext are no piece of the text model", 2)]
    shared = f"{200 / manifest.splits['train'].totals.tokens:.1f}% of the text tokens are no piece of the text model"
    assert f"Warning: {shared}, and their characters are lost: give a --text-model that knows them" in done.stderr
    shown = run("inspect", "dataset", tmp_path / "out").stdout
    assert f"{shared}: their characters are lost" in shown
    found = json.loads(run("inspect", "dataset", tmp_path / "out", "--json").stdout)
    (finding,) = (finding for finding in found["quality"]["findings"] if finding["check"] == "unknown")
    assert (finding["level"], finding["threshold"]) == ("problem", 0.01)


def test_a_model_with_byte_pieces_knows_everything(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "\u65e5\u672c\u8a9e"}\n')
    assert TextTokenizer.default().unknown_id is None
    run("ingest", "massivetext", tmp_path / "a.jsonl", "--out", tmp_path / "out")
    assert read_manifest(tmp_path / "out").account == []


def test_notes_of_items_add_up_and_an_item_may_be_nothing_else() -> None:
    account = PartAccount("t")
    for _ in range(3):
        account.add_item(Item("k", 0, notes=(Note("left-out", "records beyond the announced"),)))
    assert account.result() == [Note("left-out", "records beyond the announced", 3)]


def test_the_notes_of_many_items_are_bounded() -> None:
    account = PartAccount("t")
    for number in range(MAX_NOTES + 7):
        account.add_item(Item("k", 0, notes=(Note("left-out", f"member {number}", 2),)))
    account.add_item(Item("k", 0, notes=(Note("left-out", "member 0"),)))
    found = account.result()
    assert (found[0], found[-1]) == (Note("left-out", "member 0", 3), Note("left-out", "and others", 14))
    assert len(found) == MAX_NOTES + 1
