"""LIBERO's HDF5 files: one file per task, `TASK_demo.hdf5`, as in `demos`; a suite is a folder of them.

    data                    problem_info: the instruction, as JSON; macros_image_convention
    data/demo_0/obs         agentview_rgb, eye_in_hand_rgb (T, H, W, 3), gripper_states, joint_states, ee_pos, ee_ori;
                            ee_states, which is the last two in one

* Images have their bottom row first (convention "opengl"), and are flipped here; OpenVLA and
  LeRobot turn them by 180 degrees, so that left and right change places.
* An observation was taken after the action of its row (`create_dataset.py` of LIBERO appends it
  after env.step). LIBERO and all others train on the pairs as they are stored.
* `rewards` and `dones` are 1 in the last timestep of every demonstration, whatever happened.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from gato_pipelines.containers.container import ACTION, OBSERVATION, Conventions, ImageRows, Pairing
from gato_pipelines.containers.demos import DemoFile, demo_file, demo_of, num_samples
from gato_pipelines.containers.hdf5 import attribute, below
from gato_pipelines.containers.hdf5_episodes import (
    INSTRUCTION,
    NumberedEpisodes,
    Rows,
    by_path,
    look_into,
    number_of,
    read_episode,
    same_leaves,
    told,
)
from gato_pipelines.files.find import root_of
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Leaf
from gato_schemas.account import Note
from gato_schemas.dataset import FinalStep

_BOTH = f"{OBSERVATION}/ee_states"
_TWICE = {_BOTH, f"{OBSERVATION}/ee_pos", f"{OBSERVATION}/ee_ori"}
_TURNED: Mapping[ImageRows, str] = {
    "flip": "images have their bottom row first, and are flipped: `ingest libero --image-rows rotate` turns them by "
    "180 degrees, as OpenVLA and LeRobot do",
    "rotate": "images are turned by 180 degrees, which puts left and right in each other's place",
    "as-stored": "images are not turned",
}
_PAIRED: Mapping[Pairing, str] = {
    "as-stored": "observations were taken after the action of their row, and are paired with it as LIBERO's own "
    "training does: `ingest libero --pairing next-action` takes the one that follows",
    "next-action": "observations are paired with the action that followed: the first action of every demonstration has "
    "no observation, and the last observation no action",
}
_NAMED = "files that say no instruction have their name for one: `ingest libero --instruction` says another"
_REWARDS = "rewards and dones are 1 at the end of every demonstration, so that they are no proof of success"


class _Problem(msgspec.Struct, frozen=True):
    language_instruction: str | list[str] = ""


@dataclass(frozen=True, slots=True)
class _Task:
    """What one file says of its task.

    Attributes:
        file: what its demonstrations hold.
        instruction: of all of them.
        suite: the folder of its description in LIBERO; empty where that is not told.
        rows: how images come upright.
        has_twice: whether values that are there twice were left out.
        is_named: whether the instruction is the name of the file.
    """

    file: DemoFile
    instruction: str
    suite: str
    rows: ImageRows
    has_twice: bool
    is_named: bool


@dataclass(frozen=True, kw_only=True)
class LiberoContainer(NumberedEpisodes):
    """One task, or a folder of tasks.

    Attributes:
        sets: names in the files of what RLDS calls otherwise.
        instructions: by file.
        rows: how the images of each file come upright.
        pairing: which action an observation goes with.
    """

    format: ClassVar[str] = "LIBERO (HDF5)"

    sets: Mapping[str, str]
    instructions: Mapping[str, str]
    rows: Mapping[str, ImageRows]
    pairing: Pairing

    def variant(self, file: str) -> str:
        """The task, as its file is called."""
        return Path(file).stem.removesuffix("_demo")

    def episode(self, root: Any, file: str, name: str, leaves: tuple[Leaf, ...]) -> RldsEpisode:
        """One demonstration, its images upright."""
        demo = demo_of(root, name)
        steps = num_samples(demo, self.sets)
        rows = {ACTION: Rows(0, steps, steps)}
        if self.pairing == "next-action":
            rows = {ACTION: Rows(1, max(steps, 1), steps), OBSERVATION: Rows(0, max(steps - 1, 0), steps)}
        episode = read_episode(demo, leaves, self.sets, rows, number=number_of(name))
        upright = {path: _turned(values, self.rows[file]) for path, values in episode.tensors.items()}
        episode = replace(episode, tensors=upright)
        return told(episode, self.instructions[file]) if INSTRUCTION in leaves else episode


def libero_container(path: Path, conventions: Conventions) -> LiberoContainer:
    """The container of a file, or of a folder of files.

    Raises:
        InputError: a file has no demonstrations or no observations, files differ in their fields,
            or none can be read.
    """
    tasks, damaged = look_into(path, lambda root: _look(root, conventions))
    features = same_leaves(path, {name: task.file.leaves for name, task in tasks.items()})
    first = next(iter(tasks.values()))
    behind = "the first action had no observation, the last observation no action, and both were left out"
    after = behind if conventions.pairing == "next-action" else "and none behind the last one"
    return LiberoContainer(
        path=root_of(path),
        name="libero",
        config=first.suite or root_of(path).resolve().name,
        licence="CC BY 4.0 (LIBERO)",
        features=features,
        final_step=FinalStep("keep", f"LIBERO stores an observation with every action, {after}"),
        notes=tuple(_notes([*tasks.values()], conventions.pairing)),
        groups={name: task.file.demos for name, task in tasks.items()},
        damaged=damaged,
        sets=first.file.sets,
        instructions={name: task.instruction for name, task in tasks.items()},
        rows={name: task.rows for name, task in tasks.items()},
        pairing=conventions.pairing,
    )


def _look(root: Any, conventions: Conventions) -> _Task:
    file, data = demo_file(root, "actions", ()), below(root, "data")
    has_twice = {leaf.path for leaf in file.leaves} >= _TWICE
    leaves = [leaf for leaf in (*file.leaves, INSTRUCTION) if not has_twice or leaf.path != _BOTH]
    said = conventions.instruction or _instruction(attribute(data, "problem_info"))
    described = attribute(data, "bddl_file_name")
    suite = PurePosixPath(described).parent.name if isinstance(described, str) else ""
    rows = conventions.image_rows
    if rows == "auto":
        rows = "as-stored" if attribute(data, "macros_image_convention") == "opencv" else "flip"
    file = replace(file, leaves=by_path(leaves))
    instruction = said or _named(Path(root.filename).stem)
    return _Task(file, instruction, suite, rows, has_twice, is_named=not said)


def _instruction(text: Any) -> str:
    """The instruction of problem_info, a text or a list of words; empty where there is none."""
    try:
        found = msgspec.json.decode(text if isinstance(text, str) else "{}", type=_Problem).language_instruction
    except (msgspec.MsgspecError, RecursionError):
        return ""
    return (found if isinstance(found, str) else " ".join(found)).strip(' "')


def _named(stem: str) -> str:
    """The words of a file's name behind its scene: "open it" of KITCHEN_SCENE1_open_it_demo."""
    words = stem.removesuffix("_demo").split("_")
    scenes = [at for at, word in enumerate(words) if word.startswith("SCENE")]
    return " ".join(words[scenes[-1] + 1 if scenes else 0 :])


def _notes(tasks: Sequence[_Task], pairing: Pairing) -> Iterator[Note]:
    for rows in dict.fromkeys(task.rows for task in tasks):
        yield Note("read", _TURNED[rows])
    yield Note("read", _PAIRED[pairing])
    yield Note("read", _REWARDS)
    if any(task.is_named for task in tasks):
        yield Note("read", _NAMED)
    if tasks[0].has_twice:
        yield Note("read", "ee_states repeats ee_pos and ee_ori, and is left out")


def _turned(values: NDArray[Any], rows: ImageRows) -> NDArray[Any]:
    """Images (T, H, W, C) of bytes with their top row first; other values as they are."""
    if values.ndim != 4 or values.dtype != np.uint8 or rows == "as-stored":
        return values
    return np.ascontiguousarray(values[:, ::-1] if rows == "flip" else values[:, ::-1, ::-1])
