"""ManiSkill's trajectories: an HDF5 file with one group per episode, and its JSON beside it.

    trajectory.rgb.pd_ee_delta_pose.physx_cpu.h5
        traj_0/actions (T, A), or a group of them for several robots
        traj_0/terminated, truncated, success, fail (T,); rewards (T,), where they were recorded
        traj_0/obs (T + 1, ...), or a tree: agent, extra, sensor_data/CAMERA/rgb, depth, segmentation; sensor_param
        traj_0/env_states (T + 1, ...)      states of the simulator
    trajectory.rgb.pd_ee_delta_pose.physx_cpu.json
        env_info; episodes: episode_id, elapsed_steps, success, control_mode

The last observation has no action, so that an episode comes out with T timesteps. Calibrations of
cameras, depths and segmentations are left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.containers.container import ACTION, OBSERVATION, REWARD, TERMINAL, Conventions, SuccessAt
from gato_pipelines.containers.hdf5 import below, names, num_rows, open_hdf5, read_numbers
from gato_pipelines.containers.hdf5_episodes import (
    EPISODE_ID,
    INSTRUCTION,
    NumberedEpisodes,
    Rows,
    by_number,
    leaves_of,
    num_actions,
    number_of,
    read_episode,
    told,
)
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf
from gato_schemas.account import Note
from gato_schemas.dataset import FinalStep

MAX_JSON_BYTES = 1 << 28
_PREFIX = "traj_"
_WITH_LAST = ("obs", "env_states")
"""What has a row more than there are actions."""
_SUCCESS = Leaf(path="success", kind=Kind.SCALAR, dtype="bool")
_SETS = {OBSERVATION: "obs", ACTION: "actions", REWARD: "rewards", TERMINAL: "terminated"}
_APART = {"sensor_param", "camera_param", "depth", "seg", "segmentation"}
"""What a tree of observations holds that is none."""
_SUCCESS_NOTE: Mapping[SuccessAt, str] = {
    "end": "an episode succeeded if it did so at its end, as its JSON counts: `ingest maniskill --success any` asks "
    "for any timestep (what --require-success success takes)",
    "any": "an episode succeeded if it did so in any timestep, though its JSON counts the end",
}


class _Arguments(msgspec.Struct, frozen=True):
    obs_mode: str = ""
    control_mode: str = ""


class _Info(msgspec.Struct, frozen=True):
    env_id: str = ""
    env_kwargs: _Arguments = _Arguments()


class _Episode(msgspec.Struct, frozen=True):
    episode_id: int
    elapsed_steps: int | None = None
    success: bool | None = None
    control_mode: str = ""


class _Json(msgspec.Struct, frozen=True):
    """The parts of the JSON that matter here."""

    env_info: _Info = _Info()
    episodes: list[_Episode] = []

    @property
    def control_modes(self) -> list[str]:
        """Of all episodes, each once."""
        found = [episode.control_mode for episode in self.episodes] or [self.env_info.env_kwargs.control_mode]
        return [mode for mode in dict.fromkeys(found) if mode]


@dataclass(frozen=True, kw_only=True)
class ManiskillContainer(NumberedEpisodes):
    """One file.

    Attributes:
        sets: names in an episode's group of what RLDS calls otherwise.
        lengths: timesteps of the episodes, by number, as the JSON says them.
        successes: of the episodes, by number, as the JSON says them.
        success_at: which timesteps count.
        instruction: of all episodes.
    """

    format: ClassVar[str] = "ManiSkill (HDF5)"

    sets: Mapping[str, str]
    lengths: Mapping[int, int | None]
    successes: Mapping[int, bool | None]
    success_at: SuccessAt
    instruction: str

    def paths(self, file: str) -> list[Path]:
        """The file and its JSON."""
        return [self.path / file, (self.path / file).with_suffix(".json")]

    def episode(self, root: Any, file: str, name: str, leaves: tuple[Leaf, ...]) -> RldsEpisode:
        """One trajectory without its last observation."""
        group, number = below(root, name), number_of(name)
        if not hasattr(group, "keys"):
            raise EpisodeError("it is missing", stage="read")
        steps = num_actions(group, self.sets)
        if (wanted := self.lengths.get(number)) is not None and wanted != steps:
            raise EpisodeError(f"it has {steps} actions, elapsed_steps of its JSON says {wanted}", stage="read")
        with_last = [target for target, place in self.sets.items() if place.partition("/")[0] in _WITH_LAST]
        rows = {ACTION: Rows(0, steps, steps)} | dict.fromkeys(with_last, Rows(0, steps, steps + 1))
        episode = read_episode(group, leaves, self.sets, rows, number=number)
        if INSTRUCTION in leaves:
            episode = told(episode, self.instruction)
        if _SUCCESS not in leaves:
            return episode
        return replace(episode, episode={**episode.episode, _SUCCESS.path: np.asarray(self._succeeded(group, number))})

    def _succeeded(self, group: Any, number: int) -> bool:
        if (flags := below(group, "success")) is not None:
            found = read_numbers("success", flags, 0, num_rows("success", flags)).astype(bool)
            return bool(found.any() if self.success_at == "any" else found[-1:].any())
        if (said := self.successes.get(number)) is None:
            raise EpisodeError("nothing says whether it succeeded", stage="read")
        return said


def maniskill_container(path: Path, conventions: Conventions) -> ManiskillContainer:
    """The container of a file.

    Raises:
        InputError: it holds no trajectories or no observations, or its JSON is missing or none.
    """
    told_beside = _read_json(path)
    with open_hdf5(path) as root:
        try:
            there = by_number(names(root, "the file"), _PREFIX)
            if not there:
                raise InputError(f"{path} has no traj_0 or another number: trajectories of ManiSkill are wanted")
            sets, leaves = _fields(path, below(root, there[0]), told_beside)
        except EpisodeError as error:
            raise InputError(f"{path} cannot be read: {error}") from error
    announced = {f"{_PREFIX}{episode.episode_id}" for episode in told_beside.episodes}
    env = told_beside.env_info.env_id.replace("/", "-") or path.stem
    return ManiskillContainer(
        path=path.parent,
        name="maniskill",
        config=env,
        features=Features(leaves),
        final_step=FinalStep("keep", "ManiSkill's last observation has no action, and was left out"),
        notes=tuple(_notes(told_beside, leaves, len({*there} - announced), conventions)),
        groups={path.name: by_number({*there} | announced, _PREFIX)},
        sets=sets,
        lengths={episode.episode_id: episode.elapsed_steps for episode in told_beside.episodes},
        successes={episode.episode_id: episode.success for episode in told_beside.episodes},
        success_at=conventions.success,
        instruction=conventions.instruction or told_beside.env_info.env_id,
    )


def _read_json(path: Path) -> _Json:
    beside = path.with_suffix(".json")
    try:
        with beside.open("rb") as file:
            return msgspec.json.decode(file.read(MAX_JSON_BYTES), type=_Json)
    except FileNotFoundError as error:
        raise InputError(
            f"{path} lacks {beside.name}, which ManiSkill writes beside it: download that as well"
        ) from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InputError(f"{beside} is not what ManiSkill writes beside {path.name} ({error})") from error


def _fields(path: Path, group: Any, told_beside: _Json) -> tuple[dict[str, str], tuple[Leaf, ...]]:
    """Names in an episode's group of what RLDS calls otherwise, and all leaves."""
    members = names(group, _PREFIX) if hasattr(group, "keys") else []
    if "obs" not in members:
        raise InputError(
            f"{path} has no observations (obs_mode none): make a file that has them with `python -m "
            f"mani_skill.trajectory.replay_trajectory --traj-path {path.name} --save-traj -o rgb`"
        )
    known = {*_SETS.values(), "success"}
    sets = _SETS | {f"steps/{name}": name for name in members if name not in known}
    leaves = [_apart(leaf) for leaf in leaves_of(group, sets)]
    tops = {leaf.path.split("/")[1] for leaf in leaves} - {target.split("/")[1] for target in sets}
    says = "success" in members or any(episode.success is not None for episode in told_beside.episodes)
    more = [EPISODE_ID, *([_SUCCESS] if says else []), *([INSTRUCTION] if told_beside.env_info.env_id else [])]
    return sets | {f"steps/{top}": f"obs/{top}" for top in tops}, tuple(
        sorted((*leaves, *more), key=lambda leaf: leaf.path)
    )


def _apart(leaf: Leaf) -> Leaf:
    """A leaf beside the observation where it is no part of one."""
    is_apart = leaf.path.startswith(OBSERVATION + "/") and not _APART.isdisjoint(leaf.path.split("/"))
    return replace(leaf, path=leaf.path.replace(OBSERVATION, "steps", 1)) if is_apart else leaf


def _notes(told_beside: _Json, leaves: Sequence[Leaf], unlisted: int, conventions: Conventions) -> Iterator[Note]:
    modes = told_beside.control_modes
    for mode in modes:
        meaning = "relative" if "delta" in mode else "velocities" if "vel" in mode else "absolute"
        yield Note("read", f"actions of control mode {mode} are {meaning}")
    if not conventions.instruction and INSTRUCTION in leaves:
        yield Note("read", "the instruction is the environment's name: `ingest maniskill --instruction` says another")
    if _SUCCESS in leaves:
        yield Note("read", _SUCCESS_NOTE[conventions.success])
    if unlisted:
        yield Note("read", "trajectories that the JSON does not list", unlisted)
