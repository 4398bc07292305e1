"""`gato-data ingest --retry-dead-letters`, as a user meets it."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gato_cli.main import cli
from tests.cli.command import error_of, ingest
from tests.rlds_inputs import digests, flip, shards


@pytest.fixture
def source(damaged: Path) -> Path:
    """Three files of two episodes; the last bytes of the second file are damaged."""
    path = shards(damaged)[1]
    flip(path, path.stat().st_size - 40)
    return damaged


def inspect(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["inspect", "dataset", *map(str, arguments)], env={"COLUMNS": "200"})


def test_from_the_reasons_to_the_whole_dataset(source: Path, recording: Path, out: Path, tmp_path: Path) -> None:
    name = shards(source)[1].name
    found = error_of(ingest("atari", source, "--out", out))
    assert "1 of 6 episodes could not be used, --max-bad allows 0" in found
    assert found.endswith("or mend the input and run it with --retry-dead-letters")
    ingest("atari", source, "--out", out, "--max-bad", 1)
    shown = inspect(out).stdout
    assert "Left out: 1 episode" in shown
    assert f"{name}, record 1" in shown
    assert "--retry-dead-letters" in shown
    (reason,) = json.loads(inspect(out, "--json").stdout)["left_out"]
    assert (reason["episodes"], reason["stage"]) == (1, "read")
    shutil.copy(shards(recording)[1], shards(source)[1])
    done = ingest("atari", source, "--out", out, "--retry-dead-letters")
    assert done.exit_code == 0
    assert "1 episode left out so far: 1 of 3 parts is made anew" in done.stderr
    assert "1 of 1 could be used now" in done.stderr
    ingest("atari", recording, "--out", tmp_path / "never" / "out")
    assert digests(out) == digests(tmp_path / "never" / "out")
    assert "Left out" not in inspect(out).stdout


def test_nothing_to_retry(recording: Path, out: Path) -> None:
    ingest("atari", recording, "--out", out)
    before = digests(out)
    done = ingest("atari", recording, "--out", out, "--retry-dead-letters", "--json")
    assert done.exit_code == 0
    assert f"{out} has no dead letters: there is nothing to try again" in done.stderr
    assert json.loads(done.stdout)["dead_letters"] == 0
    assert digests(out) == before


def test_what_it_is_no_use_for(source: Path, out: Path) -> None:
    found = error_of(ingest("atari", source, "--out", out, "--retry-dead-letters"))
    assert found == f"{out} holds no dataset whose dead letters could be tried again: leave the option out"
    assert not out.exists()
    ingest("atari", source, "--out", out, "--max-bad", 1)
    before = digests(out)
    found = error_of(ingest("atari", source, "--out", out, "--max-bad", 1, "--retry-dead-letters", "--overwrite"))
    assert found == "overwrite makes everything anew and retry-dead-letters what was left out: give one of them"
    found = error_of(ingest("atari", source, "--out", out, "--image-size", "32x32", "--retry-dead-letters"))
    assert "made from other input or with other settings (source.settings.image_size" in found
    assert digests(out) == before
