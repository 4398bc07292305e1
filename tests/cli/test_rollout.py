"""`gato-data rollout` as a user types it, with a policy that is written down; the tutorials play with trained ones."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gato_cli.main import cli
from gato_cli.rollout_report import play_shown
from gato_pipelines.rollout.settings import RolloutSettings
from gato_pipelines.rollout.subjects import subject_named
from gato_schemas.dataset import EnvironmentInfo, TaskInfo
from tests.pipelines.recorders.recorded import SIMULATORS, need

pytest.importorskip("torch", reason="needs torch, of the extra [train]")
need("gymnasium", SIMULATORS)

import gato_trainer.acting  # noqa: E402
from gato_trainer.acting.policy import HeldOut  # noqa: E402
from tests.pipelines.rollout import corridor  # noqa: E402

ENV = ("--env", corridor.NAME, "--expert", corridor.EXPERT)


class Loaded(corridor.Walker):
    """A policy as `load_policy` gives it."""

    def __init__(self, source: Path, **tasks: TaskInfo) -> None:
        super().__init__()
        self.source, self.step = source, 30
        self.held_out = HeldOut(step=30, action_accuracy=0.5, changed_action_accuracy=0.25, repeated_actions=0.75)
        self.tasks = [SimpleNamespace(name=name, dataset="d", task=name, info=info) for name, info in tasks.items()]


def info(environment: EnvironmentInfo | None = None) -> TaskInfo:
    return TaskInfo(observations=[], actions=[], environment=environment)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return loaded(tmp_path, monkeypatch, corridor=info())


def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **tasks: TaskInfo) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    monkeypatch.setattr(gato_trainer.acting, "load_policy", lambda run, device: Loaded(path, **tasks))
    return path


def rollout(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(cli, ["rollout", *map(str, arguments)], env={"COLUMNS": "120"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_table_of_everyone(run: Path, tmp_path: Path) -> None:
    result = rollout(run, *ENV, "--episodes", "20", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    heading, *rows, held_out, last = result.stdout.splitlines()
    assert heading.split() == [
        "task",
        "played",
        "by",
        "episodes",
        "return",
        "success",
        "score",
        "actions",
        "ms",
        "each",
    ]
    assert [row.split()[:3] for row in rows] == [["corridor", arm, "20"] for arm in ("random", "policy", "expert")]
    assert "1 ± 0  100.0% [84, 100]" in rows[2]
    assert "%" in rows[1].split("]")[1]
    assert held_out == (
        "held-out episodes at step 30: action accuracy 50.0 % (25.0 % where it changes, repeating 75.0 %)"
    )
    assert last == f"{tmp_path / 'out'}: every episode, the scores, scores.png"


def test_json(run: Path) -> None:
    result = rollout(run, *ENV, "--episodes", "4", "--greedy", "--json")
    found = json.loads(result.stdout)
    assert found["policy"]["source"] == "model.safetensors"
    assert (found["held_out"]["step"], found["held_out"]["repeated_actions"]) == (30, 0.75)
    assert (found["settings"]["temperature"], found["settings"]["episodes"]) == (0.0, 4)
    assert [(e["task"], e["actor"]) for e in found["episodes"][:4]] == [("corridor", "policy")] * 4
    assert {"return", "length", "success", "episode", "seconds"} <= set(found["episodes"][0])


@pytest.mark.parametrize(("given", "kept"), [("0", "0"), ("07", "7"), ("all", "all")])
def test_how_many_timesteps_are_seen(given: str, kept: str, run: Path) -> None:
    result = rollout(run, *ENV, "--episodes", "1", "--no-baselines", "--history", given, "--json")
    assert json.loads(result.stdout)["settings"]["history"] == kept


@pytest.mark.parametrize("given", ["-1", "every", "1.5", "", "1000000"])
def test_what_is_no_history(given: str, run: Path) -> None:
    result = rollout(run, *ENV, "--episodes", "1", "--history", given)
    assert (result.exit_code, result.stdout) == (1, "")
    assert (
        result.stderr == f"Error: a history of {given!r} is not possible: 0 to 999,999 timesteps, or all, is wanted\n"
    )


def test_the_same_command_goes_on(run: Path, tmp_path: Path) -> None:
    first = rollout(run, *ENV, "--episodes", "3", "--out", tmp_path / "out", "--json")
    more = rollout(run, *ENV, "--episodes", "5", "--out", tmp_path / "out", "--json")
    assert json.loads((tmp_path / "out" / "scores.json").read_text()) == json.loads(more.stdout)
    before, after = (json.loads(each.stdout)["episodes"] for each in (first, more))
    assert after[:9] == before
    assert len(after) == 15


def test_tasks_whose_environment_is_not_known_are_left_out_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = info(EnvironmentInfo(family="gymnasium", id="CartPole-v1", options={"max_steps": 5}))
    path = loaded(tmp_path, monkeypatch, cartpole=known, other=info())
    policy = Loaded(path)
    monkeypatch.setattr(corridor.Walker, "_act", lambda self, at, seen: {"action": 1})
    result = rollout(path, "--episodes", "2")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == [
        "left out: task other, of which nothing says where it is played: --task other --env ENV plays it"
    ]
    assert "no score between chance and an expert, since no expert is known" in result.stdout
    assert policy.tasks == []


ONE: dict[str, Any] = {"corridor": info()}
TWO: dict[str, Any] = {"corridor": info(), "maze": info()}
CODE: dict[str, Any] = {"corridor": info(EnvironmentInfo(family="gymnasium", id="secret.module:make"))}


@pytest.mark.parametrize(
    ("tasks", "arguments", "message"),
    [
        (ONE, [], "nothing says where task 'corridor' is played: give --env (and --task)"),
        ({}, [*ENV], "the run was trained on texts and images alone: there is nothing to play"),
        (TWO, [*ENV], "--env is where one task is played, and the run has 2 (corridor, maze): use --task"),
        (ONE, ["--task", "coridor", *ENV], "the policy was not trained on a task 'coridor', it knows corridor."),
        (ONE, ["--env-option", "max_steps=3"], "--env-option and --expert are of the environment that --env names"),
        (ONE, ["--env", "babyai/GoToLokal"], "no BabyAI level named 'GoToLokal': did you mean 'GoToLocal'?"),
        (ONE, [*ENV, "--env-option", "size=3"], "gymnasium takes no 'size'; its settings are env, expert,"),
        (ONE, [*ENV, "--temperature", "nan"], "temperature nan is not possible: at least 0 is wanted"),
        (ONE, [*ENV, "--greedy", "--temperature", "0.5"], "--greedy is --temperature 0: give one of the two"),
        (ONE, [*ENV, "--no-hold"], "--no-hold is about actions that were learned for several timesteps each"),
        (CODE, [], "the run says that task corridor was played in 'secret.module:make', which is a module"),
    ],
)
def test_bad_input_is_one_sentence(
    tasks: dict[str, Any], arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("minigrid", SIMULATORS)
    result = rollout(loaded(tmp_path, monkeypatch, **tasks), *arguments, "--episodes", "1")
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    (line,) = result.stderr.splitlines()
    assert line.removeprefix("Error: ").startswith(message)


@pytest.mark.parametrize("missing", ["minigrid", "dm_control.suite"])
def test_a_simulator_that_is_not_installed(missing: str, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, missing, None)
    env = "babyai/GoToLocal" if missing == "minigrid" else "dm-control/cartpole-swingup"
    result = rollout(run, "--env", env)
    assert result.exit_code == 1
    assert f"needs {missing.partition('.')[0]}: pip install" in result.stderr


@pytest.mark.parametrize(("out", "advice"), [(False, "with --out DIR it could be"), (True, "run the same command")])
def test_interrupted_it_says_how_to_go_on(
    out: bool, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Loaded, "restart", stop)
    places = {"out": tmp_path / "out" if out else None, "record": None, "gif": None}
    subject = subject_named("corridor", corridor.NAME, {})
    with pytest.raises(KeyboardInterrupt, match=advice):
        play_shown(Loaded(tmp_path), {}, [subject], RolloutSettings(episodes=1), **places)
