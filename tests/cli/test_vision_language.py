"""The page about texts and images: every command of it runs, in its order, and every source is on it."""

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from gato_cli.main import cli
from gato_data.families import TABLE_1
from gato_pipelines.documents.source import DocumentSource
from gato_pipelines.registry.find import make_source, source_names

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "vision-language.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^gato-data (.+)$", PAGE, re.MULTILINE)
PARAGRAPHS = len((ROOT / "tests/data/documents/text/paragraphs.jsonl").read_text(encoding="utf-8").splitlines())
INGESTS = [line for line in COMMANDS if line.startswith("ingest ")]
SOURCES = [name for name in source_names() if isinstance(make_source(name, {}), DocumentSource)]


def run(line: str, folder: Path, *options: str) -> str:
    """Run a command of the page with its `out` in another folder."""
    words = [re.sub(r"(^|=)out/", rf"\1{folder}/out/", word) for word in shlex.split(line)]
    result = CliRunner().invoke(cli, [*words, *options], env={"COLUMNS": "160", "OMP_NUM_THREADS": "1"})
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("line", INGESTS)
def test_every_ingest_of_the_page_runs(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "out").mkdir()
    found = json.loads(run(line, tmp_path, "--json"))
    if "--dedupe" in line:
        assert found["totals"]["episodes"] == PARAGRAPHS
    assert found["totals"]["loss_tokens"] > 0
    assert found["dead_letters"] == (1 if "--max-bad 1" in line else 0)
    family = shlex.split(line)[1]
    if family != "atari":
        assert (found["totals"]["images"] > 0) == (family != "massivetext")
        assert found["totals"]["timesteps"] == 0


def test_texts_images_and_control_data_in_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "out").mkdir()
    rest = [line for line in COMMANDS if line not in INGESTS]
    assert [line.split()[0] for line in rest] == ["mix", "train", "inspect", "inspect"]
    used = {word for word in shlex.split(rest[0]) if word.startswith("out/") and not word.endswith(".json")}
    for line in INGESTS:
        if shlex.split(line)[-1] in used:
            run(line, tmp_path)
    outputs = [run(line, tmp_path) for line in rest]
    losses = [json.loads(line) for line in (tmp_path / "out" / "run" / "log.jsonl").read_text().splitlines()]
    assert len(losses) > 0
    assert "COCO" not in outputs[2]
    assert "patch" in outputs[2]
    assert (tmp_path / "out" / "coco.html").stat().st_size > 10_000


def test_every_source_and_family_is_on_the_page() -> None:
    tried = {shlex.split(line)[1] for line in INGESTS}
    assert set(SOURCES) == tried - {"atari"} == {name for name in SOURCES if f"`{name}`" in PAGE}
    assert {make_source(name, {}).family for name in SOURCES} - set(TABLE_1) == {""}  # hub reads what it is given
