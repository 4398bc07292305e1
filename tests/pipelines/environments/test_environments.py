"""What all environments have in common, and who plays in them."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from gato_data.errors import EpisodeError
from gato_pipelines.environments.chance import Chance
from gato_pipelines.environments.environment import Environment
from gato_pipelines.environments.play import PlayedEpisode, play_episodes
from gato_pipelines.environments.players import Players, Who
from tests.pipelines.recorders.recorded import CASES, SIMULATORS, Case, need

DISCRETE = ["atari", "babyai", "procgen", "sokoban"]


def made(name: str, case: Case, *, draws: bool = False) -> Environment:
    need(case.package, case.extra)
    recorder = import_module(f"gato_pipelines.recorders.{case.recorder}").Recorder
    environment: Environment = recorder(case.name, **case.settings).environment(draws=draws)
    environment.max_actions = min(environment.max_actions or 12, 12)
    return environment


def played(environment: Environment, numbers: list[int], who: Who = "random") -> list[PlayedEpisode]:
    chances = [Chance(3, number, (1,)) for number in numbers]
    return list(play_episodes([environment], Players(who), chances, keep=lambda seen: seen))


@pytest.mark.parametrize("name", CASES)
def test_an_episode_depends_on_its_seed_and_number_alone(name: str) -> None:
    environment = made(name, CASES[name])
    *_, after = played(environment, [0, 1, 4])
    (alone,) = played(made(name, CASES[name]), [4])
    assert after.rewards == alone.rewards
    for seen, again in zip(after.observations, alone.observations, strict=True):
        for path, value in seen.items():
            np.testing.assert_array_equal(value, again[path])
    environment.close()


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("dm-control", "meta-world")])
def test_a_frame_is_a_picture_in_colour(name: str) -> None:
    environment = made(name, CASES[name])
    environment.reset(Chance(0, 0))
    frame = environment.frame()
    assert (frame.dtype, frame.ndim, frame.shape[2]) == (np.uint8, 3, 3)
    assert frame.std() > 10
    environment.close()


@pytest.mark.parametrize("name", DISCRETE)
@pytest.mark.parametrize("action", [-1, 99, [0, 1]])
def test_an_action_that_there_is_not(name: str, action: Any) -> None:
    environment = made(name, CASES[name])
    environment.reset(Chance(0, 0))
    with pytest.raises(EpisodeError, match=r"takes one action from 0 to \d+; .* came"):
        environment.step(action)
    environment.close()


def test_the_player_of_pong_is_better_than_chance() -> None:
    need("ale_py", SIMULATORS)
    from gato_pipelines.environments.atari import Atari

    scores = {}
    for who in ("random", "expert"):
        pong = Atari("pong", max_frames=4800)
        scores[who] = [sum(each.rewards) for each in played(pong, [0, 1], who)]  # type: ignore[arg-type]
    assert min(scores["expert"]) >= max(scores["random"]) + 10


def test_emulators_of_different_episodes_differ() -> None:
    need("ale_py", SIMULATORS)
    from gato_pipelines.environments.atari import Atari

    game = Atari("breakout", max_frames=400)
    first, second = (each.observations for each in played(game, [0, 1]))
    assert len(first) != len(second) or any(
        (one["steps/observation"] != two["steps/observation"]).any() for one, two in zip(first, second, strict=True)
    )
