"""`gato-data record` as a user types it."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gato_cli.main import cli
from tests.rlds_inputs import digests

pytest.importorskip("ale_py", reason="needs ale-py, of the extra [simulators]")


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(cli, ["record", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def error_of(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    return result.stderr.splitlines()[-1].removeprefix("Error: ")


SHORT = ("--episodes", "2", "--max-frames", "80")


def test_it_says_what_was_recorded_and_by_whom(tmp_path: Path) -> None:
    result = run("atari", "--game", "pong", *SHORT, "--out", tmp_path / "pong")
    assert result.exit_code == 0
    assert re.fullmatch(
        rf"{re.escape(str(tmp_path / 'pong'))}: 2 episodes of pong by a random player, 42 timesteps, mean clipped "
        r"return -?\d+\.\d\d, \d+\.\d s\n",
        result.stdout,
    )
    assert result.stderr == ""
    assert sorted(path.name for path in (tmp_path / "pong").iterdir()) == [
        "dataset_info.json",
        "features.json",
        "metadata.json",
        "rlu_atari-train.tfrecord-00000-of-00002",
        "rlu_atari-train.tfrecord-00001-of-00002",
    ]


def test_json_and_the_same_bytes_again(tmp_path: Path) -> None:
    first = json.loads(run("atari", "--game", "Pong", *SHORT, "--out", tmp_path / "a", "--json").stdout)
    again = json.loads(run("atari", "--game", "pong", *SHORT, "--out", tmp_path / "b", "--json").stdout)
    assert sorted(first) == ["episodes", "game", "mean_return", "out", "policy", "terminal", "timesteps"]
    assert (first["episodes"], first["timesteps"], first["terminal"]) == (2, 42, 0)
    assert {**first, "game": "", "out": ""} == {**again, "game": "", "out": ""}
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    run("atari", "--game", "pong", *SHORT, "--out", tmp_path / "c", "--seed", "1")
    assert digests(tmp_path / "c") != digests(tmp_path / "a")


def test_more_shards_than_episodes_are_not_made(tmp_path: Path) -> None:
    short = ("--episodes", "1", "--max-frames", "40")
    assert run("atari", "--game", "pong", *short, "--out", tmp_path / "one", "--shards", "9").exit_code == 0
    assert len(list((tmp_path / "one").glob("*.tfrecord-*"))) == 1


def test_a_finished_recording_is_kept_unless_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "pong"
    run("atari", "--game", "pong", *SHORT, "--out", out)
    before = digests(out)
    found = error_of(run("atari", "--game", "pong", *SHORT, "--out", out, "--seed", "5"), 1)
    assert found == f"{out} already holds a finished recording: give another folder, or use --overwrite"
    assert digests(out) == before
    assert run("atari", "--game", "pong", *SHORT, "--out", out, "--seed", "5", "--overwrite").exit_code == 0
    assert digests(out) != before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--game", "brekout"], 1, r"no Atari game named 'brekout': did you mean 'Breakout'\?"),
        (["--game", "chess 3000 x"], 1, r"no Atari game named 'chess 3000 x': .*"),
        (["--game", "pong", "--max-frames", "3"], 1, r"frame skip 4 with at most 3 frames leaves no timestep: .*"),
        (["--game", "pong", "--sticky", "1"], 1, r"the probability of sticky actions is 1\.0, .*"),
        (["--game", "pong", "--seed", "99999999999"], 1, r"seed 99999999999 is not between 0 and 2147483647"),
        (["--game", "pong", "--episodes", "0"], 2, r"Invalid value for '--episodes': 0 is not in the range x>=1\."),
        (["--game", "pong", "--sticky", "2"], 2, r"Invalid value for '--sticky': 2\.0 is not in the range 0<=x<=1\."),
        ([], 2, r"Missing option '--game'\."),
    ],
)
def test_wrong_options_are_one_sentence(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    found = error_of(run("atari", *arguments, "--out", tmp_path / "out"), code)
    assert re.fullmatch(message, found)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for option in ([], ["--overwrite"]):
        found = error_of(run("atari", "--game", "pong", *SHORT, "--out", tmp_path, *option), 1)
        assert found == f"{tmp_path} is not empty, and nothing of this recorder's: give a new or empty folder"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    found = error_of(run("atari", "--game", "pong", *SHORT, "--out", tmp_path / "out"), 1)
    assert found == f"{tmp_path / 'out'} is a file: give a new folder"
