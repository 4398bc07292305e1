"""robomimic's HDF5 files, and those of MimicGen and RoboCasa: one group per demonstration.

    mask/train, mask/valid, ...     filter keys: names of demonstrations; they are the splits
    data/demo_0                     as in `demos`; ep_meta of RoboCasa says what it is told to do
    data/demo_0/next_obs            the observations that follow: those of obs, one later
    data/demo_0/actions_abs, action_dict    the same actions, said in another way

Every timestep has its action and reward; the observation after the last action stands in `next_obs`
alone. Images are upright. `dones` are set where an environment succeeded, where a demonstration
ends, or both: they end nothing here.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from gato_data.errors import EpisodeError
from gato_data.printable import counted
from gato_pipelines.containers.container import ACTION, Conventions, File
from gato_pipelines.containers.demos import DemoFile, demo_file, demo_of, num_samples
from gato_pipelines.containers.hdf5 import attribute, below, is_text, names, num_rows, read_texts
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

_SAME_ACTIONS = ("actions", "actions_abs", "action_dict")
_TRAIN, _ALL = "train", "all"
_MAX_LISTED = 20
"""Filter keys that a note names."""


class _EpisodeMeta(msgspec.Struct, frozen=True):
    lang: str = ""


@dataclass(frozen=True, kw_only=True)
class RobomimicContainer(NumberedEpisodes):
    """One file, or a folder of files that have the same fields.

    Attributes:
        sets: names in the files of what RLDS calls otherwise.
        tasks: name of the environment of each file.
        keys: names of the demonstrations of each filter key, by file.
        instruction: of all episodes; empty where each has its own, or none.
    """

    format: ClassVar[str] = "robomimic (HDF5)"

    sets: Mapping[str, str]
    tasks: Mapping[str, str]
    keys: Mapping[str, Mapping[str, tuple[str, ...]]]
    instruction: str

    def variant(self, file: str) -> str:
        """The environment."""
        return self.tasks[file]

    @property
    def splits(self) -> tuple[str, ...]:
        """The filter keys; "train" is everything where that is none, and "all" always."""
        found = sorted({key for keys in self.keys.values() for key in keys} - {_TRAIN, _ALL})
        return (_TRAIN, *found, _ALL)

    def files(self, split: str) -> list[File]:
        """The files in ranges, and the demonstrations that a filter key names and no file holds."""
        found = super().files(split)
        for file, keys in self.keys.items():
            lost = sorted({*keys.get(split, ())} - {*self.groups[file]})
            why = f"filter key {split} names it, and {file} lacks it"
            found += [File(f"{file}/data/{name}", 0, 1, missing=f"{name}: {why}") for name in lost]
        return found

    def chosen(self, file: str, split: str) -> Sequence[int]:
        """The ordinals of the demonstrations that a filter key names."""
        keys, groups = self.keys[file], self.groups[file]
        if split == _ALL or (split == _TRAIN and _TRAIN not in keys):
            return range(len(groups))
        wanted = {*keys.get(split, ())}
        return [ordinal for ordinal, name in enumerate(groups) if name in wanted]

    def episode(self, root: Any, file: str, name: str, leaves: tuple[Leaf, ...]) -> RldsEpisode:
        """One demonstration."""
        demo = demo_of(root, name)
        steps = num_samples(demo, self.sets)
        rows = {ACTION: Rows(0, steps, steps)}
        episode = read_episode(demo, leaves, self.sets, rows, number=number_of(name))
        if INSTRUCTION not in leaves:
            return episode
        if not (instruction := self.instruction or _said(demo)):
            raise EpisodeError("ep_meta has no instruction (lang), which others have", stage="read")
        return told(episode, instruction)


def robomimic_container(path: Path, conventions: Conventions) -> RobomimicContainer:
    """The container of a file, or of a folder of files.

    Raises:
        InputError: a file has no demonstrations or no observations, files differ in their fields,
            or none can be read.
    """
    found, damaged = look_into(path, lambda root: _look(root, conventions))
    files = {name: file for name, (file, _) in found.items()}
    keys = {name: keys for name, (_, keys) in found.items()}
    first = next(iter(files.values()))
    tasks = {name: file.environment.env_name.replace("/", "-") or Path(name).stem for name, file in files.items()}
    groups = {name: file.demos for name, file in files.items()}
    has_next = "next_obs" in first.members
    behind = "the one behind the last action, in next_obs, was left out" if has_next else "and none behind the last one"
    return RobomimicContainer(
        path=root_of(path),
        name="robomimic",
        config=next(iter(tasks.values())) if len({*tasks.values()}) == 1 else root_of(path).resolve().name,
        features=same_leaves(path, {name: file.leaves for name, file in files.items()}),
        final_step=FinalStep("keep", f"robomimic stores an observation with every action, {behind}"),
        notes=(*_notes_of_actions([*files.values()], conventions.actions), *_notes_of_keys(groups, keys)),
        groups=groups,
        damaged=damaged,
        sets=first.sets,
        tasks=tasks,
        keys=keys,
        instruction=conventions.instruction,
    )


def _look(root: Any, conventions: Conventions) -> tuple[DemoFile, dict[str, tuple[str, ...]]]:
    file = demo_file(root, conventions.actions, ("next_obs",))
    if conventions.instruction or _said(demo_of(root, file.demos[0])):
        file = replace(file, leaves=by_path((*file.leaves, INSTRUCTION)))
    return file, _keys(root)


def _keys(root: Any) -> dict[str, tuple[str, ...]]:
    """The names of the demonstrations of each filter key."""
    mask = below(root, "mask")
    found: dict[str, tuple[str, ...]] = {}
    for key in () if mask is None else names(mask, "mask"):
        path, data = f"mask/{key}", below(mask, key)
        if not hasattr(data, "ndim") or data.ndim != 1 or not is_text(data):
            raise EpisodeError(f"{path} holds no names of demonstrations", stage="read")
        found[key] = tuple(read_texts(path, data, 0, num_rows(path, data)))
    return found


def _said(demo: Any) -> str:
    """What RoboCasa says that a demonstration is told to do; empty where it says nothing."""
    text = attribute(demo, "ep_meta")
    try:
        return msgspec.json.decode(text if isinstance(text, str) else "{}", type=_EpisodeMeta).lang
    except (msgspec.MsgspecError, RecursionError):
        return ""


def _notes_of_actions(files: Sequence[DemoFile], actions: str) -> Iterator[Note]:
    """Which actions are taken, and what they mean, where a file says it."""
    if others := [name for name in _SAME_ACTIONS if name in files[0].members and name != actions]:
        listed = " and ".join(others)
        text = f"the action is {actions}; {listed} say the same in another way: see `ingest robomimic --actions`"
        yield Note("read", text)
    elif actions == "actions":
        for control in dict.fromkeys(file.environment.control for file in files):
            if control:
                yield Note("read", f"actions are {control}")


def _notes_of_keys(
    groups: Mapping[str, Sequence[str]], keys: Mapping[str, Mapping[str, Sequence[str]]]
) -> Iterator[Note]:
    """How many demonstrations every split has, where there are filter keys."""
    sizes = Counter[str]()
    for each in keys.values():
        sizes.update({key: len(demos) for key, demos in each.items()})
    if sizes:
        listed = ", ".join(f"{key} ({size:,})" for key, size in sorted(sizes.items())[:_MAX_LISTED])
        listed += f" and {len(sizes) - _MAX_LISTED} more" if len(sizes) > _MAX_LISTED else ""
        total = counted(sum(map(len, groups.values())), "demonstration")
        yield Note("read", f"filter keys are splits: {listed}; --split all reads {total}")
