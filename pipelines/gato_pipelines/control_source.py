"""What all sources of control data share: a timestep's fields from the input itself, parts from its files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, InputError, SettingError
from gato_data.returns import episode_return
from gato_data.weight_text import TABLE_1
from gato_pipelines.containers.container import REWARD, TERMINAL, Container
from gato_pipelines.containers.detect import open_container
from gato_pipelines.filtering import check_fraction, passes
from gato_pipelines.final_step import FinalStepSetting, kept_timesteps
from gato_pipelines.image_fit import import_cv2
from gato_pipelines.images import Alpha, decode_and_fit
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Leaf
from gato_pipelines.scanning import Facts, is_terminal, per_timestep, scalar_leaf, scan_part, succeeded, success_leaf
from gato_pipelines.selection import AUTO, Selection, Wanted, fit_of, is_decodable, matches, select
from gato_pipelines.source import Item, PartScan
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Episode, Field, FieldModality, Value
from gato_schemas.index import Part

ActionRange: TypeAlias = Literal["none", "minmax", "quantile"] | tuple[float, float]
_RGBA = 4


def setting(default: Any, text: str, metavar: str = "") -> Any:
    """A field of a source that becomes a command-line option."""
    return field(default=default, metadata={"help": text} | ({"metavar": metavar} if metavar else {}))


def default(name: str, value: Any) -> Any:
    """A field of `ControlSource` with another default."""
    return field(default=value, metadata=ControlSource.__dataclass_fields__[name].metadata)


@dataclass(frozen=True)
class ControlSource:
    """Reads episodes from any container of control data; the fields are settings.

    Class attributes say what a source is for and what it observes by default: `families` are the rows of the paper's
    Table 1 that its data can stand for, `unwanted` are patterns of observations that are left out, and why.
    """

    licence: ClassVar[str] = "as the data set says"
    formats: ClassVar[str] = "RLDS, JAT, Minari, D4RL"
    families: ClassVar[tuple[str, ...]] = ()
    tokens_per_timestep: ClassVar[str] = "as the data set says"
    example: ClassVar[str] = ""
    modalities: ClassVar[frozenset[FieldModality]] = frozenset(("text", "image", "discrete", "continuous"))
    unwanted: ClassVar[Mapping[str, str]] = {}

    task: str = setting("", "Name of the task; by default the input's own: a game, a level, a body.")
    split: str = setting("train", "Split of the input to read.")
    family: str = setting(
        "", "Row of the paper's Table 1 that the dataset stands for, as `mix --weights gato` takes it."
    )
    image_size: tuple[int, int] | None = setting(
        None, "Pixels of the images that are cut into patches; by default the nearest multiples of 16.", "HxW"
    )
    image_fit: Literal["resize", "pad"] = setting(
        "resize", "How images get that size: scaled, or padded at the right and bottom."
    )
    observation_keys: tuple[str, ...] = setting(
        (), "Observation fields to keep, such as state,camera/*; by default all but large tensors."
    )
    drop_keys: tuple[str, ...] = setting((), "Observation fields to leave out.")
    action_keys: tuple[str, ...] = setting((), "Action fields, in token order; by default all, sorted.")
    instruction_key: str = setting(
        AUTO, "Text beside the observation that is observed as well; auto: an instruction, if there is one; or none."
    )
    action_range: ActionRange = setting(
        "none",
        "Range of continuous actions that is mapped to [-1, 1]: none clips; minmax and quantile take each element's "
        "own, over all episodes.",
        "none|minmax|quantile|LOW:HIGH",
    )
    final_step: FinalStepSetting = setting(
        "auto", "Final timesteps: kept, dropped, or dropped where they are placeholders."
    )
    min_return_fraction: float | None = setting(
        None, "Keep episodes with at least this share of the expert's return; 0.8 in the paper.", "SHARE"
    )
    require_success: str = setting("", "Keep episodes in which this flag is set.", "KEY")

    def __post_init__(self) -> None:
        check_fraction(self.min_return_fraction)
        if self.family and self.family not in TABLE_1:
            close = get_close_matches(self.family, TABLE_1, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(TABLE_1)}"
            raise SettingError(f"family {self.family!r} is no row of the paper's Table 1: {hint}")

    def task_name(self, variant: str) -> str:
        """Name of the task, given what a file's episodes are of."""
        return self.task or variant

    def agent_name(self, container: Container, variant: str) -> str:
        """Name of the agent whose episodes a file holds."""
        return container.name

    @cached_property
    def id_leaves(self) -> tuple[str, ...]:
        """Episode-level leaves that make up the data set's own id, and number episodes in the order of collection."""
        return ("episode_id",)

    def wanted(self) -> Wanted:
        """What becomes tokens."""
        usual = type(self).__dataclass_fields__["drop_keys"].default
        return Wanted(
            observation_keys=self.observation_keys,
            drop_keys=self.drop_keys,
            action_keys=self.action_keys,
            instruction_key=self.instruction_key,
            image_size=self.image_size,
            image_fit=self.image_fit,
            modalities=self.modalities,
            unwanted=self.unwanted,
            optional=usual if isinstance(usual, tuple) else (),
        )

    def parts(self, folder: Path) -> list[Part]:
        """One part per file of the split."""
        container = self.container(folder)
        return [
            Part(file.name, self.task_name(container.variant(file.name)), file.size, 0, file.num_episodes or 0)
            for file in container.files(self.split)
        ]

    def input_names(self, folder: Path) -> list[str]:
        """Name, config and version of the input."""
        return [self.container(folder).label]

    def input_licence(self, folder: Path) -> str:
        """What the input says of its redistribution."""
        return self.container(folder).licence

    def libraries(self) -> dict[str, str]:
        """The decoder and resizer of images."""
        return {"opencv": import_cv2().__version__}

    def container(self, folder: Path) -> Container:
        """The container at a path; TFDS reads it where a field that is asked for cannot be read otherwise."""
        container = open_container(folder)
        named = (*self.observation_keys, *self.action_keys)
        for leaf in container.features.steps if named else ():
            name = leaf.path.removeprefix("steps/").removeprefix("observation/").removeprefix("action/")
            if matches(name, named) and not is_decodable(leaf) and container.format == "RLDS":
                return open_container(folder, f"{leaf.path} cannot be read without it")
        return container

    def scan(self, folder: Path, part: Part) -> PartScan:
        """Look at the episodes of a part without decoding images."""
        container = self.container(folder)
        agent = self.agent_name(container, container.variant(part.file))
        return scan_part(container, part, select(container, self.wanted()), self._facts(container), agent)

    def _facts(self, container: Container) -> Facts:
        if self.min_return_fraction is not None and scalar_leaf(container, REWARD) is None:
            raise InputError(
                f"{container.label} has no reward, which --min-return-fraction needs: leave that out, or name a flag "
                "of success with --require-success"
            )
        numbers = [leaf for leaf in container.features.episode if leaf.path in self.id_leaves and leaf.dtype == "int64"]
        return Facts(
            returns=self.min_return_fraction is not None,
            success=success_leaf(container, self.require_success) if self.require_success else None,
            order=tuple(numbers) if self.min_return_fraction is not None else (),
            ranges=self.action_range in ("minmax", "quantile"),
            quantiles=self.action_range == "quantile",
        )

    def read(self, folder: Path, part: Part, task: TaskInfo) -> Iterator[Item]:
        """The episodes of one part that pass the task's filter."""
        container = self.container(folder)
        reader = _Reader(self, container, part, task)
        container.check_unchanged(part.file, part.size)
        for raw in container.episodes(part.file, reader.leaves, part.first, part.count):
            key = f"records from {raw.ordinal}" if raw.rest else f"record {raw.ordinal}"
            try:
                if raw.episode is None:
                    raise raw.error or EpisodeError("nothing was read", stage="read")
                if reader.keeps(raw.episode):
                    yield Item(key, raw.ordinal, reader.episode(raw.episode))
            except EpisodeError as error:
                yield Item(key, raw.ordinal, error=error, count=raw.count)
        container.check_unchanged(part.file, part.size)

    def source_id(self, episode: RldsEpisode) -> str:
        """The data set's own id of an episode; empty where it has none."""
        return "/".join(str(episode.episode[leaf]) for leaf in self.id_leaves if leaf in episode.episode)


class _Reader:
    """Turns the raw episodes of one part into episodes."""

    def __init__(self, source: ControlSource, container: Container, part: Part, task: TaskInfo) -> None:
        self._source, self._container, self._task = source, container, task
        self._agent = source.agent_name(container, container.variant(part.file))
        self._name = part.task
        self._wanted = source.wanted()
        self._chosen: Selection = select(container, self._wanted)
        self._success = success_leaf(container, source.require_success) if source.require_success else None
        extra = {REWARD, TERMINAL, *source.id_leaves}
        leaves = [*self._chosen.leaves, *(leaf for leaf in container.features.leaves if leaf.path in extra)]
        leaves += [self._success] if self._success else []
        self.leaves = tuple({leaf.path: leaf for leaf in leaves}.values())

    def keeps(self, raw: RldsEpisode) -> bool:
        """Whether an episode passes the task's filter."""
        chosen = self._task.filter
        if chosen is None:
            return True
        if self._success is not None and not succeeded(raw, self._success):
            return False
        reward = per_timestep(raw, REWARD)
        return passes(chosen, float("nan") if reward is None else episode_return(reward))

    def episode(self, raw: RldsEpisode) -> Episode:
        """One episode, its images decoded.

        Raises:
            EpisodeError: an image cannot be decoded, or no timestep is left.
        """
        reward, terminal = per_timestep(raw, REWARD), is_terminal(raw)
        keep = kept_timesteps(raw.num_timesteps, self._task.final_step, terminal=terminal)
        if keep < 1:
            what = "and its final timestep is dropped" if raw.num_timesteps else "so there is nothing to learn from"
            raise EpisodeError(f"the episode has {raw.num_timesteps} timesteps, {what}", stage="read")
        histograms: dict[str, NDArray[np.int64]] = {}
        chosen = self._chosen.observations
        return Episode(
            task=self._name,
            agent=self._agent,
            source_episode_id=self._source.source_id(raw),
            observations={spec.name: self._value(raw, leaf, spec, keep, histograms) for leaf, spec in chosen},
            actions={spec.name: raw.tensors[leaf.path][:keep] for leaf, spec in self._chosen.actions},
            reward=None if reward is None else reward[:keep].astype(np.float32),
            episode_return=float("nan") if reward is None else float(np.float32(episode_return(reward))),
            is_terminal=terminal,
            histograms=histograms,
        )

    def _value(
        self, raw: RldsEpisode, leaf: Leaf, spec: Field, keep: int, histograms: dict[str, NDArray[np.int64]]
    ) -> Value:
        if spec.modality == "text":
            return raw.texts[leaf.path][:keep]
        if spec.modality != "image":
            return raw.tensors[leaf.path][:keep]
        histogram = histograms[spec.name] = np.zeros(256, np.int64)
        fit = fit_of(leaf, self._wanted)
        if leaf.path in raw.images:
            shape, alpha = _how_to_decode(self._container, leaf)
            try:
                return decode_and_fit(raw.images[leaf.path][:keep], shape, fit, alpha=alpha, histogram=histogram)
            except EpisodeError as error:
                raise EpisodeError(f"{spec.name}: {error}", stage=error.stage) from error
        frames = raw.tensors[leaf.path][:keep]
        histogram += np.bincount(frames.reshape(-1), minlength=256)
        return fit.apply(frames if frames.ndim == 4 else frames[..., None])


def _how_to_decode(container: Container, leaf: Leaf) -> tuple[tuple[int | None, ...], Alpha]:
    """Shape and treatment of the fourth channel, which is a gray frame in some containers and opacity in the others."""
    if leaf.shape[2:] != (_RGBA,):
        return leaf.shape, "white"
    return (leaf.shape, "newest") if container.stacks_frames else ((*leaf.shape[:2], 3), "white")
