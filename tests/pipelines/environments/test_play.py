"""The loop, in an environment that counts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gato_data.errors import EpisodeError
from gato_pipelines.environments.chance import Chance
from gato_pipelines.environments.environment import Environment, Frame, GaveUpError, Observation, Player, Step
from gato_pipelines.environments.play import Disturbed, play_episodes
from gato_pipelines.environments.players import NoisyExpert, Players


class Counter(Environment):
    """Its episodes have as many actions as their number says; an action is rewarded by its value."""

    name = "counter"
    knows_success = True
    reward = 1.0

    def reset(self, chance: Chance) -> Observation:
        self.left = 1 + chance.number % 5
        return {"left": self.left}

    def step(self, action: Any) -> Step:
        self.left -= 1
        return Step(action, {"left": self.left}, self.reward * action, self.left == 0, self.left == 0, self.left == 1)

    def random(self, rng: np.random.Generator) -> Player:
        return lambda seen: 1

    def expert(self, rng: np.random.Generator) -> Player:
        if self.left == 2:
            raise GaveUpError

        def act(seen: Observation) -> int:
            if seen["left"] == 3:
                raise GaveUpError
            return 2

        return act

    def frame(self) -> Frame:
        return np.zeros((4, 4, 3), np.uint8)


class Seats(Players):
    """Chance, and who sat where."""

    def __init__(self) -> None:
        super().__init__("random")
        self.rows: list[list[int]] = []

    def act(self, seen: Sequence[Observation | None]) -> list[Any]:
        self.rows.append([0 if one is None else int(one["left"]) for one in seen])
        return super().act(seen)


@pytest.mark.parametrize("environments", [1, 2, 4, 16])
def test_episodes_come_in_order_from_any_number_of_environments(environments: int) -> None:
    chances = [Chance(0, number) for number in range(12)]
    played = list(
        play_episodes([Counter() for _ in range(environments)], Players("random"), chances, keep=lambda seen: seen)
    )
    assert [episode.number for episode in played] == list(range(12))
    assert [len(episode.actions) for episode in played] == [1 + number % 5 for number in range(12)]
    assert [seen["left"] for seen in played[3].observations] == [4, 3, 2, 1, 0]
    assert all(episode.is_terminal for episode in played)
    assert [bool(episode.success) for episode in played] == [number % 5 > 0 for number in range(12)]


def test_an_environment_begins_its_next_episode_when_one_is_over() -> None:
    seats = Seats()
    list(play_episodes([Counter(), Counter()], seats, [Chance(0, number) for number in (0, 4, 1)]))
    assert seats.rows == [[1, 5], [2, 4], [1, 3], [0, 2], [0, 1]]


def test_an_episode_is_cut_where_the_environment_says_so() -> None:
    counter = Counter()
    counter.max_actions = 3
    (episode,) = play_episodes([counter], Players("random"), [Chance(0, 4)])
    assert (len(episode.actions), episode.is_terminal, episode.observations) == (3, False, [])


def test_who_cannot_go_on_ends_an_episode_and_no_other() -> None:
    played = list(play_episodes([Counter(), Counter()], Players("expert"), [Chance(0, number) for number in range(4)]))
    assert [(episode.gave_up, len(episode.actions)) for episode in played] == [
        (False, 1),
        (True, 0),
        (True, 0),
        (True, 1),
    ]


@pytest.mark.parametrize("noise", [0.1, 0.5, 0.95])
def test_chance_disturbs_a_share_of_the_timesteps_in_stretches(noise: float) -> None:
    counter, players, chance = Counter(), NoisyExpert(Players("random"), noise), Chance(0, 4)
    seen = counter.reset(chance)
    players.begin(0, counter, chance)
    acts = [players.act([seen])[0] for _ in range(20_000)]
    assert {act for act in acts if act != 2} == {Disturbed(wanted=2, done=1)}
    by_chance = np.array([act != 2 for act in acts])
    begun = by_chance[1:] & ~by_chance[:-1]
    assert by_chance.mean() == pytest.approx(noise, abs=0.03)
    assert by_chance.sum() / begun.sum() == pytest.approx(10 if noise < 0.9 else 19, abs=1)


def test_what_an_expert_wanted_is_kept_and_what_chance_did_is_done() -> None:
    (episode,) = play_episodes([Counter()], NoisyExpert(Players("random"), 0.9), [Chance(0, 3)], keep=lambda seen: seen)
    assert (episode.gave_up, len(episode.actions)) == (True, 1)
    counter = Counter()
    counter.applied = lambda action: action + 0.5  # type: ignore[method-assign]

    class Always(Players):
        def act(self, seen: Sequence[Observation | None]) -> list[Any]:
            return [Disturbed(2, 1) for _ in seen]

    (episode,) = play_episodes([counter], Always("random"), [Chance(0, 2)])
    assert (episode.actions, episode.rewards) == ([2.5, 2.5, 2.5], [1.0, 1.0, 1.0])


def test_a_reward_that_is_no_number_is_one_sentence() -> None:
    counter = Counter()
    counter.reward = float("nan")
    with pytest.raises(EpisodeError, match="counter gave a reward of nan for action 0 of episode 3: a finite number"):
        list(play_episodes([counter], Players("random"), [Chance(0, 3)]))


def test_what_is_watched() -> None:
    told: list[tuple[int, int]] = []
    list(
        play_episodes(
            [Counter()],
            Players("random"),
            [Chance(0, 1), Chance(0, 0)],
            watch=lambda environment, episode: told.append((episode.number, len(episode.actions))),
        )
    )
    assert told == [(1, 0), (1, 1), (1, 2), (0, 0), (0, 1)]
