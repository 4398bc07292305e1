"""D4RL datasets in HDF5: the timesteps of all episodes one after the other.

    observations (N, ...)   actions (N, ...)   rewards (N,)   terminals (N,)   timeouts (N,)
    next_observations, infos/..., metadata/...   are not read: `metadata` holds the weights of whole policies

An episode ends where `terminals` or `timeouts` is true, or after --episode-length timesteps, which
a file without `timeouts` needs: a time limit ended those episodes there that no terminal state did.
Every timestep has its action and reward, the last one too; the observation after it is stored in
`next_observations` only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

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
    read_numbers,
    read_texts,
    walk,
)
from gato_pipelines.containers.ranges import episode_ranges
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf
from gato_schemas.dataset import FinalStep

_SETS = {
    OBSERVATION: "observations",
    ACTION: "actions",
    REWARD: "rewards",
    TERMINAL: "terminals",
    "steps/infos": "infos",
    "steps/next_observation": "next_observations",
}
_ENDS = ("terminals", "timeouts")


@dataclass(frozen=True, kw_only=True)
class D4rlContainer(Container):
    """One HDF5 file; `episode_length` is the longest that an episode gets."""

    format: ClassVar[str] = "D4RL (HDF5)"
    has_episode_length: ClassVar[bool] = True

    file: str
    episode_length: int | None = None

    def files(self, split: str) -> list[File]:
        """The one file, in ranges of its episodes."""
        if split != "train":
            raise InputError(f"{self.path / self.file} has no split {split!r}: D4RL files have only 'train'")
        with open_hdf5(self.path / self.file) as root:
            num_episodes = len(_episode_bounds(root, self.episode_length))
        return episode_ranges(self.file, (self.path / self.file).stat().st_size, num_episodes)

    def episodes(
        self, file: str, leaves: tuple[Leaf, ...], first: int = 0, count: int | None = None
    ) -> Iterator[RawItem]:
        """The episodes of the file, in its order."""
        with open_hdf5(self.path / file) as root:
            bounds = _episode_bounds(root, self.episode_length)
            stop = len(bounds) if count is None else first + count
            for ordinal, (start, end) in enumerate(bounds[first:stop].tolist(), first):
                try:
                    yield RawItem(ordinal, _decode(root, start, end, leaves))
                except EpisodeError as error:
                    yield RawItem(ordinal, error=error)


def d4rl_container(path: Path, episode_length: int | None = None) -> D4rlContainer:
    """The container of a file.

    Args:
        path: of the file.
        episode_length: timesteps after which an episode ends at the latest; None where the file
            says where.

    Raises:
        InputError: it lacks one of the sets, or does not say where episodes end.
    """
    with open_hdf5(path) as root:
        try:
            needed = ("observations", "actions", *(_ENDS if episode_length is None else _ENDS[:1]))
            missing = [name for name in needed if child(root, name) is None]
            if missing:
                found = ", ".join(names(root, "the file")) or "nothing"
                wanted = "a D4RL file with observations, actions, terminals and timeouts is wanted"
                if missing[0] in _ENDS:
                    wanted = "a D4RL file with 'timeouts' is wanted, because where episodes end cannot be told without"
                advice = " (--episode-length gives a time limit instead)" if missing == ["timeouts"] else ""
                raise InputError(f"{path} has no {missing[0]} (but {found}): {wanted}{advice}")
            leaves = tuple(_leaves(root))
        except EpisodeError as error:
            raise InputError(f"{path} cannot be read: {error}") from error
    return D4rlContainer(
        path=path.parent,
        name="d4rl",
        config=path.stem,
        features=Features(tuple(sorted(leaves, key=lambda leaf: leaf.path))),
        final_step=FinalStep("keep", "D4RL stores an action and a reward with every observation"),
        file=path.name,
        episode_length=episode_length,
    )


def _leaves(root: Any) -> Iterator[Leaf]:
    for target, name in _SETS.items():
        group = child(root, name)
        for place, data in () if group is None else walk(group, target):
            yield leaf_of(place, data) or Leaf(path=place, kind=Kind.OTHER, dtype="")


def _episode_bounds(root: Any, longest: int | None) -> NDArray[np.int64]:
    """First row and one past the last row of every episode, int64 (E, 2)."""
    try:
        sets = {name: data for name in _ENDS if (data := child(root, name)) is not None}
        flags = [read_numbers(name, data, 0, num_rows(name, data)) for name, data in sets.items()]
    except EpisodeError as error:
        raise InputError(f"{root.filename} cannot be read: {error}") from error
    if len(flags[0]) != len(flags[-1]):
        raise InputError(f"{root.filename} has {len(flags[0])} terminals and {len(flags[-1])} timeouts")
    ends = np.flatnonzero(flags[0].reshape(-1).astype(bool) | flags[-1].reshape(-1).astype(bool)) + 1
    rows = len(flags[0])
    if rows and (not len(ends) or ends[-1] != rows):
        ends = np.append(ends, rows)
    if longest is not None:
        starts = np.concatenate([[0], ends[:-1]])
        cut = [np.arange(start + longest, end, longest) for start, end in zip(starts, ends, strict=False)]
        ends = np.sort(np.concatenate([ends, *cut]))
    return np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1).astype(np.int64)


def _decode(root: Any, start: int, end: int, leaves: tuple[Leaf, ...]) -> RldsEpisode:
    tensors: dict[str, NDArray[Any]] = {}
    texts: dict[str, list[str]] = {}
    for leaf in leaves:
        data = find(root, leaf.path, _SETS)
        if leaf.kind == Kind.TEXT:
            texts[leaf.path] = read_texts(leaf.path, data, start, end)
        else:
            values = read_numbers(leaf.path, data, start, end)
            tensors[leaf.path] = values.astype(bool) if leaf.path == TERMINAL else values
    return RldsEpisode(num_timesteps=end - start, tensors=tensors, texts=texts)
