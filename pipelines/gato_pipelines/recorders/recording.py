"""What all recorders share: episodes as they are played, written as RLDS, and what was recorded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.image_fit import import_cv2
from gato_pipelines.environments.environment import ACTION
from gato_pipelines.environments.play import Keep, PlayedEpisode
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.rlds.directory import Directory
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf
from gato_pipelines.rlds.writer import write_directory

SUCCESS = "success"
_PNG_LEVEL = 6
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
        num_successes: episodes that succeeded; None where the environment knows no success.
    """

    directory: Directory
    policy: str
    num_timesteps: int
    returns: tuple[float, ...]
    num_terminal: int
    num_successes: int | None = None


def recording_features(actions: Sequence[Leaf], observations: Sequence[Leaf], *, success: bool = False) -> Features:
    """The features of a recording: those given, and what every recording has besides."""
    leaves = [*actions, *observations]
    leaves += [Leaf(path=path, kind=Kind.TENSOR, dtype="bool") for path in _FLAGS]
    leaves += [Leaf(path=f"steps/{name}", kind=Kind.TENSOR, dtype="float32") for name in ("reward", "discount")]
    leaves.append(Leaf(path="episode_id", kind=Kind.TENSOR, dtype="int64"))
    leaves.append(Leaf(path="episode_return", kind=Kind.SCALAR, dtype="float32", description="Sum of the rewards."))
    if success:
        leaves.append(Leaf(path=SUCCESS, kind=Kind.TENSOR, dtype="bool", description="Whether the task was solved."))
    return Features(tuple(sorted(leaves, key=lambda leaf: leaf.path)))


def kept(observations: Sequence[Leaf]) -> Keep:
    """What is kept of an observation until its episode is written: images as PNG."""
    images = [leaf.path for leaf in observations if leaf.kind == Kind.IMAGE]
    return lambda seen: {**seen, **{path: png(seen[path]) for path in images}}


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode an image, uint8 (H, W, 3) in RGB or gray (H, W) or (H, W, 1)."""
    cv2 = import_cv2()
    stored = pixels[..., ::-1] if pixels.ndim == 3 and pixels.shape[2] == 3 else pixels
    done, data = cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
    assert done, "OpenCV encodes every image of 8 bits as PNG"
    return bytes(data)


def as_rlds(
    features: Features, play: PlayedEpisode, *, shows_end: bool = True, clips_rewards: bool = False
) -> RldsEpisode:
    """An episode of whole arrays; a last observation without an action gets an action, reward and discount of zero.

    Args:
        features: of the recording.
        play: with its observations `kept`.
        shows_end: whether the last observation is the end, not another episode, which is left out.
        clips_rewards: to between -1 and 1.
    """
    seen = play.observations if shows_end else play.observations[:-1]
    length = len(seen)
    rewards = np.zeros(length, dtype=np.float32)
    rewards[: len(play.rewards)] = np.clip(play.rewards, -1, 1) if clips_rewards else play.rewards
    columns = _flags(length, len(play.actions), is_terminal=play.is_terminal) | {"steps/reward": rewards}
    images, texts = {}, {}
    for leaf in features.steps:
        if leaf.path in columns:
            continue
        if leaf.path.startswith(ACTION):
            done = play.actions if leaf.path == ACTION else [action[leaf.path] for action in play.actions]
            columns[leaf.path] = _stack(done, leaf, length)
            continue
        values = [observation[leaf.path] for observation in seen]
        if leaf.kind == Kind.IMAGE:
            images[leaf.path] = values
        elif leaf.kind == Kind.TEXT:
            texts[leaf.path] = values
        else:
            columns[leaf.path] = _stack(values, leaf, length)
    episode: dict[str, Any] = {
        "episode_id": np.array(play.number, dtype=np.int64),
        "episode_return": np.array(rewards.sum(), dtype=np.float32),
    }
    if play.success is not None and SUCCESS in {leaf.path for leaf in features.leaves}:
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
