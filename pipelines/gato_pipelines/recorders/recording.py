"""What all recorders share: episodes as they are played, written as RLDS, and what was recorded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import SettingError
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.rlds.directory import Directory
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf
from gato_pipelines.rlds.writer import write_directory
from gato_pipelines.simulators.simulator import MAX_SEED, Observation, Step

SUCCESS = "success"
_FLAGS = ("steps/is_first", "steps/is_last", "steps/is_terminal")


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded.

    Attributes:
        directory: the dataset.
        policy: who acted, in a few words.
        num_timesteps: of all episodes, final ones included.
        returns: sum of the recorded rewards of every episode.
        num_terminal: episodes that ended in a terminal state.
        num_successes: episodes that succeeded; None where the simulator knows no success.
    """

    directory: Directory
    policy: str
    num_timesteps: int
    returns: tuple[float, ...]
    num_terminal: int
    num_successes: int | None = None


@dataclass(slots=True)
class PlayedEpisode:
    """One episode while it is played: T actions and rewards, and T + 1 observations by feature path, or T.

    Attributes:
        observations: values of one timestep each: numbers, text, or an image as PNG; one more than
            actions, unless the simulator hides the last one.
        actions: what was done after each observation but the last.
        rewards: what came of it.
        is_terminal: whether the episode ended in a terminal state rather than being cut.
        success: whether the task was solved at any time; None where the simulator knows no success.
    """

    observations: list[Observation]
    actions: list[Any] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    is_terminal: bool = False
    success: bool | None = None

    def add(self, step: Step) -> None:
        """One action and what came of it."""
        self.actions.append(step.action)
        self.rewards.append(step.reward)
        self.observations.append(step.observation)
        self.is_terminal = step.is_terminal
        self.success = None if step.success is None else bool(self.success or step.success)


def recording_features(action: Leaf, observations: Sequence[Leaf], *, success: bool = False) -> Features:
    """The features of a recording: those given, and what every recording has besides."""
    leaves = [action, *observations]
    leaves += [Leaf(path=path, kind=Kind.TENSOR, dtype="bool") for path in _FLAGS]
    leaves += [Leaf(path=f"steps/{name}", kind=Kind.TENSOR, dtype="float32") for name in ("reward", "discount")]
    leaves.append(Leaf(path="episode_id", kind=Kind.TENSOR, dtype="int64"))
    leaves.append(Leaf(path="episode_return", kind=Kind.SCALAR, dtype="float32", description="Sum of the rewards."))
    if success:
        leaves.append(Leaf(path=SUCCESS, kind=Kind.TENSOR, dtype="bool", description="Whether the task was solved."))
    return Features(tuple(sorted(leaves, key=lambda leaf: leaf.path)))


def as_rlds(features: Features, number: int, play: PlayedEpisode) -> RldsEpisode:
    """An episode of whole arrays; a last observation without an action gets an action, reward and discount of zero."""
    length = len(play.observations)
    rewards = np.zeros(length, dtype=np.float32)
    rewards[: len(play.rewards)] = play.rewards
    columns = _flags(length, len(play.actions), is_terminal=play.is_terminal) | {"steps/reward": rewards}
    images, texts = {}, {}
    for leaf in features.steps:
        if leaf.path in columns:
            continue
        if leaf.path == "steps/action":
            columns[leaf.path] = _stack(play.actions, leaf, length)
            continue
        values = [observation[leaf.path] for observation in play.observations]
        if leaf.kind == Kind.IMAGE:
            images[leaf.path] = values
        elif leaf.kind == Kind.TEXT:
            texts[leaf.path] = values
        else:
            columns[leaf.path] = _stack(values, leaf, length)
    episode: dict[str, Any] = {
        "episode_id": np.array(number, dtype=np.int64),
        "episode_return": np.array(rewards.sum(), dtype=np.float32),
    }
    if play.success is not None:
        episode[SUCCESS] = np.array(play.success)
    return RldsEpisode(num_timesteps=length, tensors=columns, images=images, texts=texts, episode=episode)


def _flags(length: int, num_actions: int, *, is_terminal: bool) -> dict[str, NDArray[Any]]:
    at = np.arange(length)
    discount = (at < num_actions).astype(np.float32)
    if is_terminal:
        discount[num_actions - 1] = 0
    return {
        "steps/discount": discount,
        "steps/is_first": at == 0,
        "steps/is_last": at == length - 1,
        "steps/is_terminal": (at == length - 1) & is_terminal,
    }


def _stack(values: list[Any], leaf: Leaf, length: int) -> NDArray[Any]:
    """One row for each of `length` timesteps, zeros where there are no values any more."""
    rows = np.stack([np.asarray(value, dtype=leaf.dtype) for value in values])
    return np.concatenate([rows, np.zeros((length - len(rows), *rows.shape[1:]), rows.dtype)])


def write_recording(
    out: Path,
    card: DatasetCard,
    episodes: Iterator[RldsEpisode],
    count: int,
    *,
    shards: int = 1,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Recording:
    """Write the episodes; `out` itself becomes the dataset's version folder.

    `card.metadata` must have the "policy".

    Raises:
        OutputError: `out` holds something else, or a finished recording without `overwrite`.
        SettingError: there are more shards than episodes, or none.
    """
    watch = _Watch(progress)
    watched = watch.over(episodes)
    directory = write_directory(out, card, watched, num_episodes=count, num_shards=shards, overwrite=overwrite)
    successes = sum(watch.successes) if watch.successes else None
    returns = tuple(watch.returns)
    return Recording(directory, card.metadata["policy"], watch.num_timesteps, returns, watch.num_terminal, successes)


class _Watch:
    """Counts episodes as they pass by."""

    def __init__(self, progress: Callable[[int, int], None] | None) -> None:
        self._progress = progress
        self.num_timesteps = 0
        self.num_terminal = 0
        self.returns: list[float] = []
        self.successes: list[bool] = []

    def over(self, episodes: Iterator[RldsEpisode]) -> Iterator[RldsEpisode]:
        for episode in episodes:
            self.num_timesteps += episode.num_timesteps
            self.num_terminal += int(episode.tensors["steps/is_terminal"][-1])
            self.returns.append(float(np.asarray(episode.episode["episode_return"])))
            if (success := episode.episode.get(SUCCESS)) is not None:
                self.successes.append(bool(success))
            if self._progress is not None:
                self._progress(len(self.returns), self.num_timesteps)
            yield episode


def episode_rng(seed: int, number: int) -> np.random.Generator:
    """Random numbers of one episode, which do not depend on how many come before or after it.

    Raises:
        SettingError: the seed is out of range.
    """
    check_seed(seed)
    return np.random.default_rng([seed, number])


def check_seed(seed: int) -> None:
    """Check a seed.

    Raises:
        SettingError: it is out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise SettingError(f"seed {seed} is not between 0 and {MAX_SEED}")
