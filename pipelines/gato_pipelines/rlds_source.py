"""What all RLDS sources share: fields from `features.json`, parts from shards, episodes from records."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, InputError, SettingError
from gato_pipelines.image_fit import ImageFit
from gato_pipelines.images import decode_and_fit
from gato_pipelines.planning import FinalStepSetting
from gato_pipelines.rlds.decode import NUMERIC_DTYPES, STRING_DTYPES, EpisodeDecoder
from gato_pipelines.rlds.directory import Directory, open_directory
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Kind, Leaf
from gato_pipelines.source import Ends, Item, PartScan
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Episode, Field, FieldModality, Value
from gato_schemas.index import Part
from gato_schemas.sequence import PATCH_SIZE
from gato_schemas.tfrecord import TFRecordError, read_records

MAX_UNNAMED_ELEMENTS = 256
"""A tensor with more elements than this (an embedding, a depth map) becomes tokens only where it is named."""
_STEPS = "steps/"
_REWARD, _TERMINAL = "steps/reward", "steps/is_terminal"


@dataclass(frozen=True)
class Selection:
    """Which leaves become tokens: (leaf, field) of observations and actions, and what was left out, and why."""

    observations: tuple[tuple[Leaf, Field], ...]
    actions: tuple[tuple[Leaf, Field], ...]
    dropped: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RldsSource:
    """Reads an RLDS dataset in TFDS layout, without TensorFlow; the fields are settings."""

    licence: ClassVar[str] = "as the dataset says"

    task: str = field(default="", metadata={"help": "Name of the task; by default the dataset's config or name."})
    split: str = field(default="train", metadata={"help": "Split of the input to read."})
    family: str = field(default="", metadata={"help": "Row of the paper's Table 1 that the dataset stands for."})
    image_size: tuple[int, int] | None = field(
        default=None,
        metadata={"metavar": "HxW", "help": "Pixels of the images that are cut into patches, e.g. 64x80."},
    )
    image_fit: Literal["resize", "pad"] = field(
        default="resize", metadata={"help": "How images get that size: scaled, or padded at the right and bottom."}
    )
    observation_keys: tuple[str, ...] = field(
        default=(), metadata={"help": "Observation fields to keep; by default all but large tensors."}
    )
    drop_keys: tuple[str, ...] = field(default=(), metadata={"help": "Observation fields to leave out."})
    action_keys: tuple[str, ...] = field(default=(), metadata={"help": "Action fields, in token order."})
    instruction_key: str = field(
        default="", metadata={"help": "Text of a timestep outside its observation, to be observed as well."}
    )
    action_range: tuple[float, float] | None = field(
        default=None,
        metadata={"metavar": "LOW:HIGH", "help": "Range of continuous actions that is mapped to [-1, 1]."},
    )
    final_step: FinalStepSetting = field(
        default="auto",
        metadata={"help": "Final timesteps: kept, dropped, or dropped where all are empty placeholders."},
    )

    def task_name(self, directory: Directory) -> str:
        """Name of the task of a dataset."""
        return self.task or directory.config or directory.name

    def agent_name(self, directory: Directory) -> str:
        """Name of the agent whose episodes a dataset holds."""
        return directory.name

    def source_id(self, episode: RldsEpisode) -> str:
        """The dataset's own id of an episode; empty where it has none."""
        return str(episode.episode.get("episode_id", ""))

    @cached_property
    def id_leaves(self) -> tuple[str, ...]:
        """Episode-level leaves that make up the source's own id."""
        return ("episode_id",)

    def parts(self, folder: Path) -> list[Part]:
        """One part per shard of the split."""
        directory = _open(folder)
        shards = directory.open_split(self.split).shards
        task = self.task_name(directory)
        return [
            Part(
                shard.path.relative_to(directory.path).as_posix(),
                task,
                shard.path.stat().st_size,
                count=shard.num_episodes or 0,
            )
            for shard in shards
            if shard.num_episodes != 0
        ]

    def input_names(self, folder: Path) -> list[str]:
        """Name, config and version of the dataset."""
        directory = _open(folder)
        return ["/".join(filter(None, (directory.name, directory.config, directory.version)))]

    def input_licence(self, folder: Path) -> str:
        """What the dataset says of its redistribution."""
        return _open(folder).licence

    def libraries(self) -> dict[str, str]:
        """The decoder and resizer of images."""
        import cv2

        return {"opencv": cv2.__version__}

    def scan(self, folder: Path, part: Part) -> PartScan:
        """Count episodes and look at their final timesteps."""
        directory = _open(folder)
        chosen = self.select(directory)
        tensors = [leaf for leaf, _ in chosen.actions] + [
            leaf for leaf in directory.features.steps if leaf.path == _REWARD
        ]
        decoder = EpisodeDecoder(tuple(tensors))
        zero = ends = found = 0
        try:
            for record in read_records(directory.path / part.file, part.first, part.count or None):
                found += 1
                try:
                    episode = decoder.decode(record.data) if record.error is None else None
                except EpisodeError:
                    episode = None
                if episode is not None and episode.num_timesteps:
                    ends += 1
                    zero += all(not np.any(values[-1]) for values in episode.tensors.values())
        except TFRecordError:
            found += 1  # the damaged rest counts as one episode where the dataset does not say how many there are
        return PartScan(
            part=msgspec.structs.replace(part, count=part.count or found),
            observations=[spec for _, spec in chosen.observations],
            actions=[spec for _, spec in chosen.actions],
            agents=[self.agent_name(directory)],
            ends=Ends(episodes=ends, zero=zero),
        )

    def read(self, folder: Path, part: Part, task: TaskInfo) -> Iterator[Item]:
        """Decode the episodes of one part."""
        directory = _open(folder)
        chosen = self.select(directory)
        decoder = EpisodeDecoder(self._leaves(directory, chosen))
        drop = task.final_step is not None and task.final_step.policy == "drop"
        try:
            for record in read_records(directory.path / part.file, part.first, part.count):
                key = f"record {record.ordinal}"
                try:
                    if record.error is not None:
                        raise EpisodeError(record.error, stage="read")
                    episode = self._episode(directory, part.task, chosen, decoder.decode(record.data), drop=drop)
                except EpisodeError as error:
                    yield Item(key, record.ordinal, error=error)
                else:
                    yield Item(key, record.ordinal, episode)
        except TFRecordError as error:
            lost = part.first + part.count - error.ordinal
            noun = "episode" if lost == 1 else "episodes"
            reason = EpisodeError(f"{error}; {lost} {noun} from there on cannot be read", stage="read")
            yield Item(f"records from {error.ordinal}", error.ordinal, error=reason, count=lost)

    def select(self, directory: Directory) -> Selection:
        """Choose the leaves that become tokens.

        Raises:
            InputError: a key names no leaf, or nothing is left to observe or to act.
        """
        observed, dropped = [], []
        for leaf in _below(directory, "observation") + self._instruction(directory):
            name = _name(leaf, "observation")
            why = self._why_not(leaf, name)
            if why:
                dropped.append((leaf.path, why))
            else:
                observed.append((leaf, self._field(leaf, name)))
        self._check_keys(directory, [_name(leaf, "observation") for leaf in _below(directory, "observation")])
        actions = self._actions(directory)
        if not observed or not actions:
            what = "observation" if not observed else "action"
            found = ", ".join(leaf.path for leaf in directory.features.steps)
            raise InputError(f"{directory.path} has no {what} to tokenize: its timesteps have {found}")
        return Selection(tuple(observed), tuple(actions), tuple(dropped))

    def _instruction(self, directory: Directory) -> list[Leaf]:
        return list(directory.features.select(_STEPS + self.instruction_key)) if self.instruction_key else []

    def _why_not(self, leaf: Leaf, name: str) -> str:
        """Why an observation leaf is left out; empty where it is kept."""
        if self.observation_keys:
            return "" if name in self.observation_keys or name == self.instruction_key else "not asked for"
        if name in self.drop_keys:
            return "asked to be dropped"
        if leaf.kind == Kind.OTHER:
            return "of a type that cannot be read"
        if leaf.kind != Kind.IMAGE and leaf.dtype in NUMERIC_DTYPES:
            if None in leaf.shape:
                return "of varying shape"
            if (size := prod(side or 1 for side in leaf.shape)) > MAX_UNNAMED_ELEMENTS:
                return f"{size} numbers in each timestep: name it in --observation-keys to keep it"
        return ""

    def _check_keys(self, directory: Directory, names: list[str]) -> None:
        for option, keys in (("--observation-keys", self.observation_keys), ("--drop-keys", self.drop_keys)):
            for key in keys:
                if key not in names:
                    raise InputError(f"{option} names {key!r}, which {directory.name} lacks: it has {', '.join(names)}")

    def _actions(self, directory: Directory) -> list[tuple[Leaf, Field]]:
        leaves = {_name(leaf, "action"): leaf for leaf in _below(directory, "action")}
        for key in self.action_keys:
            if key not in leaves:
                raise InputError(
                    f"--action-keys names {key!r}, which {directory.name} lacks: it has {', '.join(leaves)}"
                )
        names = self.action_keys or sorted(leaves, key=lambda name: name.split("/"))
        low, high = self.action_range or (None, None)
        actions = []
        for name in names:
            spec = self._field(leaves[name], name)
            if spec.modality == "continuous":
                spec = Field(name, "continuous", spec.shape, spec.dtype, low, high, compand=False)
            actions.append((leaves[name], spec))
        return actions

    def _field(self, leaf: Leaf, name: str) -> Field:
        if leaf.kind == Kind.IMAGE:
            fit = self._fit(leaf)
            height, width = (side or 0 for side in leaf.shape[:2])
            size, content = fit.size(height, width), fit.content(height, width)
            return Field(name, "image", (*size, 3), leaf.dtype, content=None if content == size else content)
        shape = tuple(side or 0 for side in leaf.shape)
        if leaf.sequences:
            shape = (*(length or 0 for length in leaf.sequences), *shape)
        return Field(name, _modality(leaf), shape, leaf.dtype)

    def _fit(self, leaf: Leaf) -> ImageFit:
        if self.image_size is not None:
            return ImageFit(height=self.image_size[0], width=self.image_size[1], mode=self.image_fit)
        if None in leaf.shape[:2]:
            raise SettingError(f"images of {leaf.path} have no fixed size: give one with --image-size")
        if self.image_fit == "pad":
            return ImageFit(mode="pad")
        height, width = (max(PATCH_SIZE, round((side or 0) / PATCH_SIZE) * PATCH_SIZE) for side in leaf.shape[:2])
        return ImageFit(height=height, width=width)

    def _leaves(self, directory: Directory, chosen: Selection) -> tuple[Leaf, ...]:
        extra = (_REWARD, _TERMINAL, *self.id_leaves)
        leaves = [leaf for leaf, _ in (*chosen.observations, *chosen.actions)]
        return (*leaves, *(leaf for leaf in directory.features.leaves if leaf.path in extra))

    def _episode(self, directory: Directory, task: str, chosen: Selection, raw: RldsEpisode, *, drop: bool) -> Episode:
        keep = raw.num_timesteps - (1 if drop else 0)
        histograms: dict[str, NDArray[np.int64]] = {}
        observations: dict[str, Value] = {}
        for leaf, spec in chosen.observations:
            if spec.modality == "image":
                histograms[spec.name] = np.zeros(256, np.int64)
                try:
                    observations[spec.name] = decode_and_fit(
                        raw.images[leaf.path][:keep],
                        leaf.shape,
                        self._fit(leaf),
                        alpha="white",
                        histogram=histograms[spec.name],
                    )
                except EpisodeError as error:
                    raise EpisodeError(f"{spec.name}: {error}", stage=error.stage) from error
            elif spec.modality == "text":
                observations[spec.name] = raw.texts[leaf.path][:keep]
            else:
                observations[spec.name] = raw.tensors[leaf.path][:keep]
        reward = _scalar(raw.tensors, _REWARD)
        terminal = _scalar(raw.tensors, _TERMINAL)
        return Episode(
            task=task,
            agent=self.agent_name(directory),
            source_episode_id=self.source_id(raw),
            observations=observations,
            actions={spec.name: raw.tensors[leaf.path][:keep] for leaf, spec in chosen.actions},
            reward=None if reward is None else reward[:keep].astype(np.float32),
            episode_return=float("nan") if reward is None else float(np.float32(reward.sum(dtype=np.float64))),
            is_terminal=terminal is not None and bool(terminal.any()),
            histograms=histograms,
        )


@lru_cache(maxsize=8)
def _open(folder: Path) -> Directory:
    """A worker opens each input once, not once per part."""
    return open_directory(folder)


def _below(directory: Directory, name: str) -> list[Leaf]:
    """The leaves at or under `steps/<name>`."""
    path = _STEPS + name
    return [leaf for leaf in directory.features.steps if leaf.path == path or leaf.path.startswith(path + "/")]


def _name(leaf: Leaf, group: str) -> str:
    return leaf.path.removeprefix(_STEPS).removeprefix(group + "/")


def _modality(leaf: Leaf) -> FieldModality:
    if leaf.dtype in STRING_DTYPES:
        return "text"
    return "continuous" if np.dtype(leaf.dtype).kind == "f" else "discrete"


def _scalar(tensors: Any, path: str) -> NDArray[Any] | None:
    """One number per timestep, (T,); some datasets store it as (T, 1)."""
    values = tensors.get(path)
    if values is None:
        return None
    if prod(values.shape[1:]) != 1:
        raise EpisodeError(f"feature {path} has shape {values.shape[1:]}: one number per timestep is wanted")
    squeezed: NDArray[Any] = values.reshape(len(values))
    return squeezed
