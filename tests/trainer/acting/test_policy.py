import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.acting_recompute import action, outputs
from gato_data.errors import EpisodeError, SettingError
from gato_schemas.record import decode_record
from gato_trainer.acting import Policy
from gato_trainer.acting.demonstrations import first_timesteps
from gato_trainer.acting.vectors import Laid
from tests.gato_data.reading import folders
from tests.trainer.acting.conftest import CONTEXT, lively, observations, train_run, write_mixture


class Watched:
    """A policy whose outputs are kept beside what went into it."""

    def __init__(self, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
        self.policy = policy
        self.hidden: list[Tensor] = []
        self.window: list[list[Laid]] = []
        logits = policy._vectors.logits

        def kept(hidden: Tensor, first: int, end: int) -> Tensor:
            self.hidden.append(hidden)
            return logits(hidden, first, end)

        monkeypatch.setattr(policy._vectors, "logits", kept)

    def act(self, observation: dict[str, Any]) -> tuple[list[Laid], Tensor]:
        """Play a timestep; the pieces of the window now, and the outputs that led to each action token."""
        assert self.policy._play is not None
        observer = self.policy._play.observer
        self.hidden.clear()
        found = observer.encode(self.policy.act(observation))
        self.window.append([observer.observe(observation), action(found.tolist())])
        seen = self.policy._play.context.seen(0)
        pieces = [piece for step in self.window[-seen:] for piece in step]
        return pieces, torch.cat(self.hidden)


def check(model: Any, before: Sequence[Laid], pieces: list[Laid], hidden: Tensor) -> int:
    """Compare with the training path over the whole window; the tokens of it."""
    window = outputs(model, [*before, *pieces])
    actions = len(pieces[-1].tokens)
    torch.testing.assert_close(hidden, window[-actions - 1 : -1], rtol=0, atol=1e-5)
    return len(window)


@pytest.mark.parametrize("prompt", ["none", "demonstration"])
@pytest.mark.parametrize("history", [None, 0, 1])
def test_every_step_of_an_episode_is_what_training_makes_of_its_window(
    either: Path, prompt: str, history: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = lively(either)
    policy.reset(prompt=prompt, history=history, seed=4)
    before: list[Laid] = []
    if prompt == "demonstration":
        found = policy.card.datasets[0].demonstrations
        before = [first_timesteps(decode_record(found[4 % len(found)].record, "zlib").sequence, CONTEXT // 2)]
    watched = Watched(policy, monkeypatch)
    lengths, seen = [], []
    for observation in observations("told", 16):
        pieces, hidden = watched.act(observation)
        lengths.append(check(policy._model, before, pieces, hidden) - 1)
        seen.append(len(pieces) // 2)
    assert max(lengths) <= CONTEXT
    if history is None:
        assert max(lengths) > CONTEXT * 0.7
        assert any(later < earlier for earlier, later in itertools.pairwise(seen)), "the window was full"
    else:
        assert seen == [1, *[1 + history] * 15]


def test_xl_memory_is_exact_until_the_window_is_full_and_then_goes_on(
    either: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = lively(either)
    policy.reset(prompt="none", memory="xl")
    watched = Watched(policy, monkeypatch)
    seen = []
    for number, observation in enumerate(observations("told", 30)):
        pieces, hidden = watched.act(observation)
        seen.append(len(pieces) // 2)
        if seen[-1] == number + 1:
            check(policy._model, [], pieces, hidden)
        else:
            assert hidden.isfinite().all()
    assert max(seen) < 30
    assert min(seen[5:]) >= 3


def test_a_table_of_the_rows_that_are_used_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixture = write_mixture(tmp_path, walker=folders.episodes("walker", [9, 14], seed=1))
    policy = lively(train_run(mixture, tmp_path / "run", vocabulary="used"))
    assert policy._model.config.vocabulary_size == 1025
    policy.reset(prompt="none")
    watched = Watched(policy, monkeypatch)
    for observation in observations("walker", 8):
        pieces, hidden = watched.act(observation)
    assert policy._play is not None
    check(policy._model, [], pieces, hidden)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_1_4_and_16_environments_play_the_same_episodes(policy: Policy, temperature: float) -> None:
    seen = {seed: observations("told", 5, seed) for seed in range(16)}
    played: dict[int, list[list[dict[str, Any]]]] = {}
    for environments in (1, 4, 16):
        episodes = []
        for first in range(0, 16, environments):
            policy.reset(task="told", environments=environments, seed=first, temperature=temperature)
            steps = [policy.act([seen[first + e][t] for e in range(environments)]) for t in range(5)]
            episodes += [[step[e] for step in steps] for e in range(environments)]
        played[environments] = episodes
    np.testing.assert_equal(played[1], played[4])
    np.testing.assert_equal(played[1], played[16])
    assert len({str(episode) for episode in played[1]}) > 1


def test_environments_rest_and_start_again_on_their_own(policy: Policy) -> None:
    seen = observations("walker", 6)
    policy.reset(task="walker", seed=3)
    alone = [policy.act(each) for each in seen]
    policy.reset(task="walker", environments=3, seed=9)
    for _ in range(2):
        policy.act([seen[0], seen[1], seen[2]])
    policy.restart(1, 3)
    found = []
    for number, each in enumerate(seen):
        actions = policy.act([None, each, seen[5] if number % 2 else None])
        assert actions[0] is None
        assert (actions[2] is None) == (number % 2 == 0)
        found.append(actions[1])
    np.testing.assert_equal(found, alone)
    assert policy.act([None, None, None]) == [None, None, None]


def test_actions_have_the_fields_shape_and_range(policy: Policy) -> None:
    policy.reset(task="walker")
    for observation in observations("walker", 5):
        action = policy.act(observation)
        assert action["action"].shape == (2,)
        assert np.abs(action["action"]).max() < 1
    policy.reset(task="told", temperature=5)
    values = {int(policy.act(observation)["action"]) for observation in observations("told", 40)}
    assert len(values) > 1
    assert max(values) < 1024


def test_the_likeliest_action_is_that_of_a_very_low_temperature(policy: Policy) -> None:
    seen = observations("walker", 8)
    played = []
    for temperature in (0, 1e-6):
        policy.reset(task="walker", temperature=temperature)
        played.append([policy.act(each) for each in seen])
    np.testing.assert_equal(played[0], played[1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"task": "waker"}, "not trained on a task 'waker', it knows walker, told. Did you mean 'walker'?"),
        ({}, r"knows 2 tasks \(walker, told\): say which one"),
        ({"task": "told", "prompt": "tolt"}, "'tolt' is no prompt"),
        ({"task": "told", "environments": 0}, "0 environments"),
        ({"task": "told", "temperature": -1}, "temperature -1"),
        ({"task": "told", "temperature": float("nan")}, "temperature nan"),
        ({"task": "told", "seed": -1}, "seed -1"),
        ({"task": "told", "history": -1}, "history of -1"),
        ({"task": "told", "history": 2, "memory": "xl"}, "give one of them"),
        ({"task": "told", "memory": "all"}, "memory 'all' is unknown"),
    ],
)
def test_what_cannot_be_played_is_refused_in_a_sentence(policy: Policy, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        policy.reset(**options)


def test_a_wrong_observation_changes_nothing(policy: Policy) -> None:
    seen = observations("walker", 3)
    policy.reset(task="walker")
    wanted = [policy.act(each) for each in seen]
    policy.reset(task="walker")
    found = []
    for each in seen:
        for wrong in ({"sate": each["state"]}, {"state": np.zeros(4)}, {"state": np.full(5, np.nan)}):
            with pytest.raises(EpisodeError, match="state"):
                policy.act(wrong)
        found.append(policy.act(each))
    np.testing.assert_equal(found, wanted)


def test_as_many_observations_as_environments_after_a_reset(policy: Policy) -> None:
    with pytest.raises(SettingError, match="call reset"):
        policy.act({"state": np.zeros(5)})
    policy.reset(task="walker", environments=2)
    with pytest.raises(SettingError, match="1 observations came for 2 environments"):
        policy.act({"state": np.zeros(5)})
    with pytest.raises(SettingError, match="there is no environment 2"):
        policy.restart(2, 0)
