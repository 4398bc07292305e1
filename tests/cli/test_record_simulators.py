"""`gato-data record` of every simulator but Atari, as a user types it."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from gato_cli.main import cli
from tests.pipelines.recorders.recorded import CASES, MUJOCO, SIMULATORS, need

LINES = {
    "babyai": (["--level", "GoToLocal"], r"2 episodes of GoToLocal by minigrid's BabyAIBot, 15 timesteps"),
    "meta-world": (
        ["--task", "reach", "--max-steps", "3"],
        r"2 episodes of reach by Meta-World's scripted expert, 8 timesteps",
    ),
    "dm-control": (
        ["--task", "cheetah-run", "--max-steps", "3"],
        r"2 episodes of cheetah-run by random noise, no expert, 8 timesteps",
    ),
    "sokoban": (
        ["--boxes", "1"],
        r"2 episodes of rooms with 1 box by a search for the fewest pushes, \d+ timesteps",
    ),
    "procgen": (
        ["--game", "coinrun", "--max-steps", "3"],
        r"2 episodes of coinrun by a random player, no expert, 6 timesteps",
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_it_says_what_was_recorded_and_by_whom(name: str, tmp_path: Path) -> None:
    need(CASES[name].package, CASES[name].extra)
    options, line = LINES[name]
    out = tmp_path / "out"
    result = CliRunner().invoke(cli, ["record", name, *options, "--episodes", "2", "--out", str(out)])
    assert result.exit_code == 0, result.output
    successes = "" if name == "dm-control" else r", [0-2] of 2 succeeded"
    expected = rf"{re.escape(str(out))}: {line}, mean return -?\d+\.\d\d{successes}, \d+\.\d s\n"
    assert re.fullmatch(expected, result.stdout), result.stdout
    assert result.stderr == ""
    assert len(list(out.glob("*.tfrecord-*-of-00002"))) == 2


@pytest.mark.parametrize(
    ("name", "options", "policy"),
    [
        ("babyai", ["--level", "GoToObj"], "a random player"),
        ("dm-control", ["--task", "cartpole-balance", "--max-steps", "3"], "random noise, no expert"),
        ("meta-world", ["--task", "reach", "--max-steps", "3"], "a random player"),
    ],
)
def test_chance_plays_where_it_is_asked_to(name: str, options: list[str], policy: str, tmp_path: Path) -> None:
    need(CASES[name].package, CASES[name].extra)
    arguments = ["record", name, *options, "--actor", "random", "--episodes", "2", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, arguments)
    assert f" by {policy}, " in result.stdout, result.output
    assert json.loads((tmp_path / "out" / "metadata.json").read_text())["policy"] == policy


def test_json(tmp_path: Path) -> None:
    need("minigrid", SIMULATORS)
    arguments = ["record", "babyai", "--level", "GoToObj", "--episodes", "3", "--out", str(tmp_path / "out"), "--json"]
    result = json.loads(CliRunner().invoke(cli, arguments).stdout)
    assert result.pop("mean_return") > 0.5
    assert result.pop("timesteps") > 6
    assert result == {
        "out": str(tmp_path / "out"),
        "level": "GoToObj",
        "policy": "minigrid's BabyAIBot",
        "episodes": 3,
        "terminal": 3,
        "successes": 3,
    }


@pytest.mark.parametrize(
    ("package", "extra", "arguments", "message"),
    [
        ("minigrid", SIMULATORS, ["babyai", "--level", "GoTOLocl"], r"no BabyAI level named .*'GoToLocal'\?"),
        ("gym_sokoban", SIMULATORS, ["sokoban", "--boxes", "9"], r"9 boxes and at most 120 actions: .*"),
        ("metaworld", MUJOCO, ["meta-world", "--task", "reach", "--max-steps", "501"], r".* 1 to 500 were wanted"),
        ("dm_control", MUJOCO, ["dm-control", "--task", "chess"], r"no DM Control task named 'chess': .*"),
        (
            "dm_control",
            MUJOCO,
            ["dm-control", "--task", "walker-walk", "--actor", "expert"],
            "no expert of walker-walk is known here: --actor random plays it",
        ),
    ],
)
def test_wrong_options_are_one_sentence(
    package: str, extra: str, arguments: list[str], message: str, tmp_path: Path
) -> None:
    need(package, extra)
    result = CliRunner().invoke(cli, ["record", *arguments, "--out", str(tmp_path / "out")])
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert re.fullmatch(message, line.removeprefix("Error: "))
    assert not (tmp_path / "out").exists()
