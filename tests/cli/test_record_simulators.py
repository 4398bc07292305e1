"""`gato-data record` of every simulator but Atari, as a user types it."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from gato_cli.main import cli
from gato_pipelines.rlds.decode import EpisodeDecoder
from gato_pipelines.rlds.directory import open_directory
from gato_schemas.dataset import EnvironmentInfo, Resampling, TaskInfo
from gato_schemas.tfrecord import read_records
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


class Still:
    """A trained model that never moves."""

    def __init__(self, source: Path, *tasks: EnvironmentInfo) -> None:
        self.source, self.step, self.seen = source, 30, 0
        infos = [TaskInfo(observations=[], actions=[], environment=told) for told in tasks]
        self.tasks = [SimpleNamespace(name=f"task{number}", info=info) for number, info in enumerate(infos)]

    def reset(self, *, task: str, environments: int, **_: Any) -> None:
        self.task = task
        assert environments == 1

    def restart(self, index: int, seed: int) -> None:
        pass

    def act(self, observations: list[dict[str, Any] | None]) -> list[dict[str, Any] | None]:
        self.seen += 1
        return [None if one is None else {"action": np.zeros(1)} for one in observations]


def balance(noise: str, run: Path, out: Path, *more: str) -> Result:
    task = ["--task", "cartpole-balance", "--max-steps", "40", "--episodes", "2"]
    noisy = ["--noise", noise, "--noise-by", str(run), *more]
    return CliRunner().invoke(cli, ["record", "dm-control", *task, *noisy, "--out", str(out)])


def actions(folder: Path) -> np.ndarray:
    """Those of the first episode of a recording."""
    shard = open_directory(folder).split("train").shards[0]
    data = next(iter(read_records(shard.path))).data
    return EpisodeDecoder(open_directory(folder).features.leaves).decode(data).tensors["steps/action"]


def recorded_in(task: str) -> EnvironmentInfo:
    return EnvironmentInfo(family="dm-control", id=task, options={"max_steps": 40, "pixels": False, "seed": 9})


@pytest.fixture
def still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Still:
    pytest.importorskip("torch", reason="needs torch, of the extra [train]")
    need("dm_control", MUJOCO)
    import gato_trainer.acting

    (tmp_path / "run").write_bytes(b"weights")
    policy = Still(tmp_path / "run", recorded_in("cartpole-swingup"), recorded_in("cartpole-balance"))
    monkeypatch.setattr(gato_trainer.acting, "load_policy", lambda run, device: policy)
    return policy


def test_a_trained_model_acts_and_what_the_expert_would_have_done_is_recorded(still: Still, tmp_path: Path) -> None:
    result = balance("1", tmp_path / "run", tmp_path / "out")
    assert result.exit_code == 0, result.output
    by = "disturbed by a Gato policy (run, step 30) in 100 % of the timesteps"
    assert by in result.stdout
    assert (still.task, still.seen) == ("task1", 80)
    alone = ["record", "dm-control", "--task", "cartpole-balance", "--max-steps", "40", "--episodes", "2"]
    assert CliRunner().invoke(cli, [*alone, "--out", str(tmp_path / "alone")]).exit_code == 0
    first, other = (actions(tmp_path / name) for name in ("out", "alone"))
    np.testing.assert_array_equal(first[0], other[0])  # nobody has moved it yet
    assert np.abs(first[1:]).max() > 0
    assert not np.array_equal(first, other)


def test_which_of_several_tasks_acts_and_at_what_rate_is_said(still: Still, tmp_path: Path) -> None:
    still.tasks = Still(tmp_path, recorded_in("cartpole-balance"), recorded_in("cartpole-balance")).tasks
    resampling = Resampling(every=2, actions="sum")
    still.tasks[0].info = msgspec.structs.replace(still.tasks[0].info, resampling=resampling)
    result = balance("1", tmp_path / "run", tmp_path / "out")
    assert (result.exit_code, still.task) == (0, "task0"), result.output
    assert "Note: the model acts as in task task0; recorded in this environment too: task1.\n" in result.stderr
    assert "Note: task task0 was learned from one timestep for every 2 that were recorded" in result.stderr
    assert "decides in one of 2 timesteps, and each action is done in as many equal parts.\n" in result.stderr
    assert still.seen == 40, "of 80 timesteps"
    often = balance("1", tmp_path / "run", tmp_path / "often", "--no-hold")
    assert often.exit_code == 0, often.output
    assert "their actions: the environment takes each action for one timestep of its own.\n" in often.stderr
    assert still.seen == 40 + 80


def test_a_model_that_holds_nothing_anyway(still: Still, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = balance("1", tmp_path / "run", out, "--no-hold")
    assert result.exit_code == 1
    assert "--no-hold is about actions that were learned for several timesteps each (ingest --every)" in result.stderr
    alone = ["record", "dm-control", "--task", "cartpole-balance", "--no-hold", "--out", str(out)]
    result = CliRunner().invoke(cli, alone)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: --no-hold is of the model that --noise-by names: give it too\n"
    assert not out.exists()


@pytest.mark.parametrize(
    ("noise", "tasks", "words"),
    [
        ("0", ("cartpole-balance",), "acts in no timestep: give its share too, such as --noise 1 for all"),
        (
            "0.5",
            ("cartpole-swingup",),
            "no task of the run (task0) was recorded in this environment (dm-control: task cartpole-balance, "
            "pixels False, max_steps 40)",
        ),
    ],
)
def test_a_model_that_cannot_act_there(
    noise: str, tasks: tuple[str, ...], words: str, still: Still, tmp_path: Path
) -> None:
    still.tasks = Still(tmp_path, *map(recorded_in, tasks)).tasks
    result = balance(noise, tmp_path / "run", tmp_path / "out")
    assert result.exit_code == 1
    assert words in result.stderr, result.stderr
    assert not (tmp_path / "out").exists()
