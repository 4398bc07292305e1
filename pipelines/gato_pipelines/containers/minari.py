"""Minari datasets in HDF5: one group per episode, T actions and T + 1 observations.

    <namespace>/<name>-v0/data/main_data.hdf5       episode_0/observations, actions, rewards, terminations, ...
    <namespace>/<name>-v0/data/metadata.json

The last observation has no action, so an episode comes out with T timesteps. Dictionary and tuple
spaces are groups.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.containers.container import (
    ACTION,
    OBSERVATION,
    REWARD,
    TERMINAL,
    Container,
    File,
    RawItem,
)
from gato_pipelines.containers.hdf5 import (
    child,
    find,
    leaf_of,
    names,
    num_rows,
    open_hdf5,
    read_bytes,
    read_numbers,
    read_texts,
    walk,
)
from gato_pipelines.containers.minari_metadata import METADATA, described, read_metadata
from gato_pipelines.containers.ranges import episode_ranges
from gato_pipelines.rlds.episode import EncodedImage, RldsEpisode
from gato_pipelines.rlds.features import Kind, Leaf

MAIN_FILE = "main_data.hdf5"
_MAX_DIGITS = 10
_SETS = {OBSERVATION: "observations", ACTION: "actions", REWARD: "rewards", TERMINAL: "terminations"}


@dataclass(frozen=True, kw_only=True)
class MinariContainer(Container):
    """The `data` folder of one dataset; `numbers` are those of the episodes, in order."""

    format: ClassVar[str] = "Minari (HDF5)"

    numbers: tuple[int, ...]

    def files(self, split: str) -> list[File]:
        """The one file, in ranges of its episodes."""
        if split != "train":
            raise InputError(f"{self.path} has no split {split!r}: Minari datasets have only 'train'")
        return episode_ranges(MAIN_FILE, (self.path / MAIN_FILE).stat().st_size, len(self.numbers))

    def episodes(
        self, file: str, leaves: tuple[Leaf, ...], first: int = 0, count: int | None = None
    ) -> Iterator[RawItem]:
        """The episodes of the file, by number."""
        stop = len(self.numbers) if count is None else first + count
        with open_hdf5(self.path / file) as root:
            for ordinal, number in enumerate(self.numbers[first:stop], first):
                try:
                    yield RawItem(ordinal, _decode(root, number, leaves))
                except EpisodeError as error:
                    yield RawItem(ordinal, error=error)


def minari_container(data: Path) -> MinariContainer:
    """The container of a dataset's `data` folder.

    Raises:
        InputError: the file holds no episodes, or its observations and actions cannot be read.
    """
    metadata = read_metadata(data / METADATA)
    with open_hdf5(data / MAIN_FILE) as root:
        leaves, numbers = _leaves(root, data / MAIN_FILE)
    numbers = sorted({*numbers, *metadata.announced()})
    return MinariContainer(numbers=tuple(numbers), **described(data, metadata, leaves))


def _leaves(root: Any, path: Path) -> tuple[list[Leaf], list[int]]:
    """The leaves of the first episode, and the numbers of all that are there."""
    found: list[Leaf] = []
    try:
        ends = [name.removeprefix("episode_") for name in names(root, "the file") if name.startswith("episode_")]
        numbers = sorted(int(end) for end in ends if end.isdecimal() and len(end) < _MAX_DIGITS)
        if not numbers:
            raise InputError(f"{path} has no episodes: a Minari dataset is wanted")
        episode = child(root, f"episode_{numbers[0]}")
        for target, name in _SETS.items():
            group = None if episode is None else child(episode, name)
            if group is None and target in (OBSERVATION, ACTION):
                raise InputError(f"{path} has no {name} in episode_{numbers[0]}: a Minari dataset is wanted")
            pairs = [] if group is None else walk(group, target)
            found += [leaf_of(place, data) or _unreadable(place) for place, data in pairs]
    except EpisodeError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    return found, numbers


def _unreadable(path: str) -> Leaf:
    return Leaf(path=path, kind=Kind.OTHER, dtype="")


def _decode(root: Any, number: int, leaves: tuple[Leaf, ...]) -> RldsEpisode:
    episode = child(root, f"episode_{number}")
    actions = None if episode is None else child(episode, "actions")
    if actions is None:
        raise EpisodeError(f"episode_{number} is missing, or has no actions", stage="read")
    steps = min((num_rows(path, data) for path, data in walk(actions, ACTION)), default=0)
    tensors, images, texts = {}, {}, {}
    for leaf in leaves:
        data = find(episode, leaf.path, _SETS)
        is_observed = leaf.path == OBSERVATION or leaf.path.startswith(OBSERVATION + "/")
        if not is_observed and (rows := num_rows(leaf.path, data)) != steps:
            raise EpisodeError(f"{leaf.path} has {rows} timesteps, {steps} were expected", stage="read")
        if leaf.kind == Kind.TEXT:
            texts[leaf.path] = read_texts(leaf.path, data, 0, steps)
        elif leaf.kind == Kind.IMAGE:
            encoded: list[EncodedImage] = [*read_bytes(leaf.path, data, 0, steps)]
            images[leaf.path] = encoded
        else:
            tensors[leaf.path] = read_numbers(leaf.path, data, 0, steps)
    return RldsEpisode(num_timesteps=steps, tensors=tensors, images=images, texts=texts)
