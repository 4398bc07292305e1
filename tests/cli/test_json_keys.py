"""`--json`: the keys that a command's page promises are those that it prints, for every command that has it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli import test_rollout
from tests.cli.command import run
from tests.pipelines.rollout import corridor
from tests.test_docs import commands

PAGES = Path(__file__).parents[2] / "docs" / "commands"
ROW = re.compile(r"^\| `([^`]+)`(?:, `([^`]+)`)? \| (.+) \|$", re.MULTILINE)
RUN = ("--steps", "2", "--batch-size", "2", "--context-length", "64")


def documented() -> dict[tuple[str, str], set[str]]:
    """Keys by command and place in its answer, of the tables under every page's `## JSON`."""
    found = {}
    for page in sorted(PAGES.glob("*.md")):
        section = page.read_text(encoding="utf-8").partition("\n## JSON\n")[2].partition("\n## ")[0]
        for command, place, keys in ROW.findall(section):
            assert command.split()[0] == page.stem
            found[command, place] = set(re.findall(r"`([^`]+)`", keys))
    return found


def at(answer: Any, place: str) -> Any:
    """The first object at a place: `a.b`, `a[]` for what a list holds, `a.*` for any entry."""
    for step in filter(None, place.replace("[]", ".[]").split(".")):
        answer = answer[0] if step == "[]" else next(iter(answer.values())) if step == "*" else answer[step]
    return answer


@pytest.fixture(scope="module")
def answers(
    library: Path, recording: Path, breakout: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """What every command prints with `--json`, but for a rollout."""
    folder = tmp_path_factory.mktemp("answers")
    pong, mixture = library / "pong", folder / "mixture.json"
    (shard,) = sorted(pong.glob("*train*-of-?????"))[:1]
    mixed = ("mix", "--weights", "uniform", *RUN, "--out", mixture, pong)
    texts = PAGES.parents[1] / "tests" / "data" / "documents" / "text" / "paragraphs.txt"
    lines: dict[str, tuple[str | Path, ...]] = {
        "drop": ("drop", breakout, "--where", "share=0:0.5", "--out", folder / "dropped"),
        "info": ("info",),
        "ingest": ("ingest", "atari", recording, "--out", folder / "ingested"),
        "ingest --dry-run": ("ingest", "atari", recording, "--out", folder / "planned", "--dry-run"),
        "ingest --per-task": ("ingest", "atari", recording, "--per-task", "--out", folder / "tasks"),
        "inspect shard": ("inspect", "shard", shard),
        "inspect shard --record": ("inspect", "shard", shard, "--record", "0"),
        "inspect dataset": ("inspect", "dataset", breakout),
        "merge": ("merge", pong, library / "walker", "--out", folder / "merged", "--family", "atari"),
        "mix": mixed,
        "mix explain": ("mix", "explain", mixture, "--step", "0"),
        "inspect mixture": ("inspect", "mixture", mixture),
        "record": ("record", "atari", "--game", "pong", "--episodes", "1", "--max-frames", "40", "--out", folder / "r"),
        "sources": ("sources",),
        "verify": ("verify", pong),  # which has no copy of its manifest
        "vocabulary show": ("vocabulary", "show"),
        "vocabulary train": ("vocabulary", "train", texts, "--size", "500", "--out", folder / "text.model"),
    }
    return {name: answer(*line) for name, line in lines.items()} | trained(mixture, folder)


def answer(*arguments: str | Path) -> dict[str, Any]:
    """The one object that a command prints; of verify with its findings."""
    result = run(*arguments, "--json")
    assert result.exit_code == (arguments[0] == "verify"), result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def trained(mixture: Path, folder: Path) -> dict[str, dict[str, Any]]:
    pytest.importorskip("torch", reason="needs torch, of the extra [train]")
    line = ("train", "--mixture", mixture, "--device", "cpu")
    return {
        "train --dry-run": answer(*line, "--out", folder / "run", "--dry-run"),
        "train": answer(*line, "--out", folder / "run"),
    }


def test_every_command_is_documented() -> None:
    having = {" ".join(words) for words, command in commands() if any("--json" in item.opts for item in command.params)}
    grouped = {"ingest" if name.startswith("ingest ") else name for name in having}
    grouped = {"record" if name.startswith("record ") else name for name in grouped} | {"sources"}
    assert grouped == {re.sub(r" --.*", "", command) for command, _ in documented()}


def test_the_keys_are_those_that_are_printed(answers: dict[str, dict[str, Any]]) -> None:
    wanted = {row: keys for row, keys in documented().items() if row[0] != "rollout"}
    assert {row: set(at(answers[row[0]], row[1])) for row in wanted} == wanted


def test_the_keys_of_a_rollout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = test_rollout.loaded(tmp_path, monkeypatch, corridor=test_rollout.info())
    environment = ("--env", corridor.NAME, "--expert", corridor.EXPERT)
    found = answer("rollout", model, *environment, "--episodes", "4")
    rows = {place: keys for (command, place), keys in documented().items() if command == "rollout"}
    assert {place: set(at(found, place)) for place in rows} == rows
