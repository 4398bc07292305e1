"""Where a task is played: as its recording says, or as a user does."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gato_data.errors import SettingError
from gato_pipelines.recorders import RECORDERS
from gato_pipelines.rollout.subjects import option_value, subject_named, subject_of
from gato_schemas.dataset import EnvironmentInfo, Scores, TaskInfo
from tests.pipelines.recorders.recorded import CASES
from tests.rlds_inputs import ingest


def task(info: EnvironmentInfo | None, scores: Scores | None = None) -> TaskInfo:
    return TaskInfo(observations=[], actions=[], environment=info, scores=scores)


@pytest.mark.parametrize("name", CASES)
def test_the_environment_of_every_recording_is_made_again(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    case.record(2, tmp_path / "rlds")
    (info,) = ingest(tmp_path / "rlds", tmp_path / "data", source=case.source).manifest.tasks.values()
    subject = subject_of("it", info)
    assert subject is not None
    assert subject.family == name
    settings = {key: getattr(subject.recorder, key) for key in case.settings}
    assert settings == case.settings
    environment = subject.environment()
    try:
        played = subject.info(environment)
    finally:
        environment.close()
    assert info.environment is not None
    assert replace_policy(played) == replace_policy(info.environment)


def replace_policy(info: EnvironmentInfo) -> EnvironmentInfo:
    return EnvironmentInfo(family=info.family, id=info.id, options=info.options, versions=info.versions)


def test_a_run_that_names_code_does_not_run_it() -> None:
    named = EnvironmentInfo(family="gymnasium", id="tests.never_imported:make")
    with pytest.raises(SettingError, match=r"is a module to be imported.*ask for it with --env tests\.never_imported"):
        subject_of("it", task(named))
    assert "tests.never_imported" not in sys.modules
    expert = EnvironmentInfo(family="gymnasium", id="CartPole-v1", options={"expert": "tests.never_imported:make"})
    subject = subject_of("it", task(expert))
    assert subject is not None
    assert subject.recorder.expert == ""


def test_a_task_of_which_nothing_is_said_has_no_environment() -> None:
    assert subject_of("it", task(None)) is None


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (EnvironmentInfo(family="chess", id="e4"), "no environment 'chess' is known here: use --env"),
        (
            EnvironmentInfo(family="sokoban", id="boxes_2", options={"boxes": "many"}),
            "sokoban cannot be made of 'boxes_2' and {'boxes': 'many'}",
        ),
        (EnvironmentInfo(family="sokoban", id="x", options={"boxes": 9}), "9 boxes and at most 120 actions: 1 to 5"),
        (
            EnvironmentInfo(family="babyai", id="GoToLocal", options={"tiles": 9}),
            "babyai takes no 'tiles'; its settings",
        ),
    ],
)
def test_environments_that_cannot_be_made(info: EnvironmentInfo, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        subject_of("it", task(info))


def test_who_was_recorded_stands_for_an_expert_that_nobody_has() -> None:
    scores = Scores(episodes=3, mean_return=5.0, expert_return=7.0)
    info = EnvironmentInfo(family="procgen", id="coinrun", policy="a player")
    subject = subject_of("it", task(info, scores))
    assert subject is not None
    assert (subject.reference.policy, subject.reference.mean_return) == ("a player", 7.0)
    clipped = subject_of("it", task(EnvironmentInfo(family="atari", id="Pong"), scores))  # whose returns are not
    assert clipped is not None
    assert clipped.reference.mean_return is None


@pytest.mark.parametrize(
    ("env", "options", "family", "shown"),
    [
        ("babyai/GoToLocal", {}, "babyai", "GoToLocal"),
        ("dm-control/cartpole-swingup", {"max_steps": 9}, "dm-control", "cartpole-swingup"),
        ("sokoban/2", {}, "sokoban", "rooms with 2 boxes"),
        ("CartPole-v1", {}, "gymnasium", "CartPole-v1"),
        ("ALE/Pong-v5", {}, "gymnasium", "ALE/Pong-v5"),
        ("balance:make", {"max_steps": 9}, "gymnasium", "balance:make"),
    ],
)
def test_names_of_environments(env: str, options: dict[str, Any], family: str, shown: str) -> None:
    subject = subject_named("it", env, options)
    assert (subject.family, subject.played) == (family, shown)
    assert {key: getattr(subject.recorder, key) for key in options} == options
    assert replace(subject, task="other").family == family


def test_every_recorder_makes_environments() -> None:
    assert {*CASES, "gymnasium"} == set(RECORDERS)


@pytest.mark.parametrize(
    ("text", "value"), [("max_steps=300", 300), ("pixels=true", True), ("game=pong", "pong"), ("max-steps=3", 3)]
)
def test_options(text: str, value: Any) -> None:
    assert option_value(text)[1] == value
    assert "-" not in option_value(text)[0]


def test_an_option_without_a_value() -> None:
    with pytest.raises(SettingError, match="'pixels' is no option: NAME=VALUE is wanted"):
        option_value("pixels")
