"""What robomimic's HDF5 files and LIBERO's have in common.

data                    env_args: the environment, as JSON
data/demo_0             num_samples; actions (T, A), rewards (T,), dones (T,), states (T, ...)
data/demo_0/obs         a dataset (T, ...) for each observation
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.containers.container import ACTION, OBSERVATION, REWARD
from gato_pipelines.containers.hdf5 import attribute, below, names
from gato_pipelines.containers.hdf5_episodes import EPISODE_ID, by_number, leaves_of, num_actions
from gato_pipelines.rlds.features import Leaf

_RAW = "has no observations: make a file that has them, as robomimic's dataset_states_to_obs.py does of a demo.hdf5"


class Environment(msgspec.Struct, frozen=True):
    """The parts of `env_args` that matter here."""

    env_name: str = ""
    env_kwargs: dict[str, Any] = {}

    @property
    def control(self) -> str:
        """Whether actions are relative or absolute, and of which controller; empty where that is not told."""
        config = self.env_kwargs.get("controller_configs")
        config = config[0] if isinstance(config, list) and config else config
        parts = config.get("body_parts") if isinstance(config, dict) else None
        if isinstance(parts, dict) and parts:  # of robosuite 1.5
            config = parts.get("right", next(iter(parts.values())))
        if not isinstance(config, dict):
            return ""
        is_delta = config.get("control_delta")
        if not isinstance(is_delta, bool):
            is_delta = {"delta": True, "absolute": False}.get(str(config.get("input_type")))
        if is_delta is None:
            return ""
        return f"{'relative' if is_delta else 'absolute'}, as env_args says of {config.get('type', 'its controller')}"


@dataclass(frozen=True, slots=True)
class DemoFile:
    """What is known of a file before its episodes are read.

    Attributes:
        demos: names of its episodes, in the order of their numbers.
        sets: names in an episode's group of what RLDS calls otherwise.
        leaves: of the first episode, with the number that each has.
        members: names in the first episode's group.
        environment: that they were recorded in.
    """

    demos: tuple[str, ...]
    sets: Mapping[str, str]
    leaves: tuple[Leaf, ...]
    members: tuple[str, ...]
    environment: Environment


def demo_file(root: Any, actions: str, hidden: Container[str]) -> DemoFile:
    """What is known of an open file.

    Args:
        root: its root.
        actions: which of the first episode's datasets or groups are its actions.
        hidden: names in an episode's group that are not even listed.

    Raises:
        InputError: it holds no such episodes.
        EpisodeError: it is damaged.
    """
    path, data = Path(root.filename), below(root, "data")
    demos = by_number(names(data, "data"), "demo_") if hasattr(data, "keys") else ()
    if not demos:
        raise InputError(f"{path} has no data/demo_0 or another number: a file of robomimic's form is wanted")
    demo = demo_of(root, demos[0])
    members = tuple(names(demo, demos[0]))
    if "obs" not in members:
        raise InputError(f"{path} {_RAW}")
    if actions not in members:
        raise InputError(f"{path} has no {actions} in {demos[0]} (but {', '.join(members)}): --actions names another")
    known = {OBSERVATION: "obs", ACTION: actions, REWARD: "rewards"}
    others = [name for name in members if name not in known.values() and name not in hidden]
    sets = known | {f"steps/{name}": name for name in others}
    leaves = (EPISODE_ID, *leaves_of(demo, sets))
    return DemoFile(demos, sets, leaves, members, _environment(attribute(data, "env_args")))


def demo_of(root: Any, name: str) -> Any:
    """The group of an episode.

    Raises:
        EpisodeError: there is none, or it is a link to somewhere else.
    """
    demo = below(root, f"data/{name}")
    if not hasattr(demo, "keys"):
        raise EpisodeError("it is missing", stage="read")
    return demo


def num_samples(demo: Any, sets: Mapping[str, str]) -> int:
    """Timesteps of an episode.

    Raises:
        EpisodeError: it says that they are others than it has actions.
    """
    steps, announced = num_actions(demo, sets), attribute(demo, "num_samples")
    if isinstance(announced, int) and announced != steps:
        raise EpisodeError(f"it has {steps} actions, num_samples says {announced}", stage="read")
    return steps


def _environment(text: Any) -> Environment:
    try:
        return msgspec.json.decode(text if isinstance(text, str) else "{}", type=Environment)
    except (msgspec.MsgspecError, RecursionError):
        return Environment()
