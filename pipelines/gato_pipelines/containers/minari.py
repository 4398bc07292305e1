"""Minari datasets in HDF5: one group per episode, T actions and T + 1 observations.

    <namespace>/<name>-v0/data/main_data.hdf5       episode_0/observations, actions, rewards, terminations, ...
    <namespace>/<name>-v0/data/metadata.json

The last observation has no action, so an episode comes out with T timesteps. Dictionary and tuple
spaces are groups.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.containers.container import ACTION, OBSERVATION, REWARD, TERMINAL
from gato_pipelines.containers.hdf5 import child, names, open_hdf5
from gato_pipelines.containers.hdf5_episodes import (
    NumberedEpisodes,
    Rows,
    by_number,
    leaves_of,
    num_actions,
    read_episode,
)
from gato_pipelines.containers.minari_metadata import METADATA, described, read_metadata
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Leaf

MAIN_FILE = "main_data.hdf5"
_PREFIX = "episode_"
_SETS = {OBSERVATION: "observations", ACTION: "actions", REWARD: "rewards", TERMINAL: "terminations"}


@dataclass(frozen=True, kw_only=True)
class MinariContainer(NumberedEpisodes):
    """The `data` folder of one dataset."""

    format: ClassVar[str] = "Minari (HDF5)"

    def episode(self, root: Any, file: str, name: str, leaves: tuple[Leaf, ...]) -> RldsEpisode:
        """One episode without its last observation."""
        group = child(root, name)
        if group is None:
            raise EpisodeError("it is missing", stage="read")
        steps = num_actions(group, _SETS)
        rows = {ACTION: Rows(0, steps, steps), OBSERVATION: Rows(0, steps)}
        return read_episode(group, leaves, _SETS, rows)


def minari_container(data: Path) -> MinariContainer:
    """The container of a dataset's `data` folder.

    Raises:
        InputError: the file holds no episodes, or its observations and actions cannot be read.
    """
    path, metadata = data / MAIN_FILE, read_metadata(data / METADATA)
    with open_hdf5(path) as root:
        try:
            there = by_number(names(root, "the file"), _PREFIX)
            if not there:
                raise InputError(f"{path} has no episodes: a Minari dataset is wanted")
            first = child(root, there[0])
            for name in ("observations", "actions"):
                if not hasattr(first, "keys") or child(first, name) is None:
                    raise InputError(f"{path} has no {name} in {there[0]}: a Minari dataset is wanted")
            leaves = leaves_of(first, _SETS)
        except EpisodeError as error:
            raise InputError(f"{path} cannot be read: {error}") from error
    announced = (f"{_PREFIX}{number}" for number in metadata.announced())
    groups = {MAIN_FILE: by_number({*there, *announced}, _PREFIX)}
    return MinariContainer(groups=groups, **described(data, metadata, leaves))
