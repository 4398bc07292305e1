"""What all sources of control data share: a timestep's fields from the input itself, parts from its files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Literal

from gato_data.errors import EpisodeError, InputError, SettingError
from gato_data.image_fit import import_cv2
from gato_pipelines.containers.container import REWARD, Container, Conventions, File
from gato_pipelines.containers.detect import open_container
from gato_pipelines.control.announced import checked_episodes
from gato_pipelines.control.bad_fields import LOOKED_AT
from gato_pipelines.control.episode_choice import check_episodes, pick_episodes
from gato_pipelines.control.episode_reader import EpisodeReader, Reading
from gato_pipelines.control.field_choice import FieldChoice, matches
from gato_pipelines.control.filtering import check_fraction
from gato_pipelines.control.flags import scalar_leaf, success_leaf, told_success
from gato_pipelines.control.form import Form
from gato_pipelines.control.frame_stacks import FrameStack
from gato_pipelines.control.instructions import AUTO
from gato_pipelines.control.leaf_fields import ImageChoice
from gato_pipelines.control.missing_files import missing_notes, present_files
from gato_pipelines.control.scanned_ranges import RangeChoice
from gato_pipelines.control.scanning import ScanChoice, scan_part
from gato_pipelines.control.selection import select
from gato_pipelines.control.splits import split_files
from gato_pipelines.files.find import root_of
from gato_pipelines.rlds.decode import is_decodable
from gato_pipelines.source import ActionRange, FinalStepSetting, Item, PartScan, Source, check_family, setting
from gato_schemas.account import Note
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Bins, FieldModality
from gato_schemas.index import Part
from gato_schemas.selection import Resampling

_RANGED = (
    r"\.(hdf5|h5)$|(^|/)[a-z]+-\d{5}-of-\d{5}\.parquet$"
    r"|(^|/)(data|videos)/(.+/)?chunk-\d+/file-\d+\.(parquet|mp4)$"
)
"""HDF5, and by their names parquet files of JAT, rows and videos of many episodes of LeRobot."""
_SHARDS = r"\.tfrecord"
_BY_PART = _SHARDS + (
    r"|\.(array_record|parquet|riegeli|bagz)-\d|(^|/)run_\d+-\d{5}-of-\d{5}$"
    r"|(^|/)(data|videos)/(.+/)?chunk-\d+/|(^|/)\d+/part-0\.(arrow|parquet)$"
)
"""By their names: shards of TFDS, raw files of RL Unplugged, rows and videos of LeRobot, episodes of Minari."""


def default(name: str, value: Any) -> Any:
    """A field of `ControlSource` with another default."""
    return field(default=value, metadata=ControlSource.__dataclass_fields__[name].metadata)


@dataclass(frozen=True)
class ControlSource(Source):
    """Reads episodes from any container of control data; the fields are settings.

    Class attributes say what a source observes by default: `modalities`, but no `unwanted`
    patterns, each with the reason.
    """

    licence: ClassVar[str] = "as the dataset says"
    formats: ClassVar[str] = "RLDS, JAT, Minari, D4RL, LeRobot"
    tokens_per_timestep: ClassVar[str] = "as the dataset says"
    modalities: ClassVar[frozenset[FieldModality]] = frozenset(("text", "image", "discrete", "continuous"))
    unwanted: ClassVar[Mapping[str, str]] = {}
    grids_below: ClassVar[int] = 0
    """Sides below which whole numbers (H, W, layers) or (H, W) are symbols, though they have a
    picture's size."""
    form: ClassVar[Form | None] = None
    """What its data looks like; None where it takes any."""
    read_by_part: ClassVar[str] = _BY_PART
    only: ClassVar[str] = ""
    """The format of containers that its settings are about; empty where it reads any."""

    task: str = setting("", "Name of the task; by default the input's own: a game, a level, a body.")
    split: str = setting(
        "train", "Split of the input to read, as TFDS names it: train, train+val, train[:10%], train[10:20] or all."
    )
    episodes: str = setting(
        "",
        "Episodes of the split to read, by the dataset's own numbers or else by place, such as 0:10,17.",
        "FIRST:STOP,...",
        records_default=False,
    )
    allow_missing_shards: bool = setting(False, "Go on without the files of the split that are not there.")
    ignore_borders: bool = setting(
        False, "Read every record as one episode, even where is_first or is_last is set inside it."
    )
    family: str = setting(
        "", "Row of the paper's Table 1 that the dataset stands for, as `mix --weights gato` takes it."
    )
    image_size: tuple[int, int] | None = setting(
        None, "Pixels of the images that are cut into patches; by default the nearest multiples of 16.", "HxW"
    )
    image_fit: Literal["resize", "pad"] = setting(
        "resize", "How images get that size: scaled, or padded at the right and bottom."
    )
    frame_stack: FrameStack = setting(
        "auto", "Of stacked frames the newest is taken, or none are stacked; auto: newest where the format says so."
    )
    discrete_keys: tuple[str, ...] = setting((), "Observation fields whose values are symbols, even as a picture.")
    observation_keys: tuple[str, ...] = setting(
        (), "Observation fields to keep, such as state,camera/*; by default all but large tensors."
    )
    drop_keys: tuple[str, ...] = setting((), "Observation fields to leave out.")
    action_keys: tuple[str, ...] = setting((), "Action fields, in token order; by default all, sorted.")
    instruction_key: str = setting(
        AUTO,
        "Text of a timestep or an episode, or bytes of one, that is observed as well; auto: an instruction beside the "
        "observation, if there is one; or none.",
    )
    action_range: ActionRange = setting(
        "none",
        "Range of continuous actions that is mapped to [-1, 1]: none clips; minmax and quantile take each element's "
        "own, over all episodes; stats takes what the dataset's statistics say.",
        "none|minmax|quantile|stats|LOW:HIGH",
    )
    action_bins: Bins = setting(
        "1024",
        "Bins of continuous actions: 1024 as in the paper, or the 256 of OpenVLA, whose range leaves out what is held.",
        records_default=False,
    )
    observation_range: ActionRange = setting(
        "none",
        "Range of continuous observations that is mapped to [-1, 1] and cut into equal bins; none compands them.",
        "none|minmax|quantile|stats|LOW:HIGH",
        records_default=False,
    )
    every: int = setting(
        1, "Recorded timesteps that one timestep stands for; the final one stands for itself.", records_default=False
    )
    every_actions: Literal["last", "sum"] = setting(
        "last", "The action of such a timestep: the last of them, or their sum.", records_default=False
    )
    drop_idle: float | None = setting(
        None,
        "Leave timesteps out that move nothing: a norm below this (0.0001 if not given), and what is held is kept.",
        "NORM",
        alone="0.0001",
        records_default=False,
    )
    held: int = setting(
        1,
        "Numbers at the end of an action that are held, such as a gripper: no sum, no move, no range in openvla-256.",
        "COUNT",
        records_default=False,
    )
    final_step: FinalStepSetting = setting(
        "auto", "Final timesteps: kept, dropped, or dropped where they are placeholders."
    )
    episode_length: int | None = setting(
        None, "Time limit that ended episodes, for a D4RL file without timeouts.", "TIMESTEPS"
    )
    min_return_fraction: float | None = setting(
        None, "Keep episodes with at least this share of the expert's return; 0.8 in the paper.", "SHARE"
    )
    require_success: str = setting("", "Keep episodes in which this flag is set.", "KEY")

    def __post_init__(self) -> None:
        check_fraction(self.min_return_fraction)
        check_episodes(self.episodes)
        if self.episode_length is not None and self.episode_length < 1:
            raise SettingError(f"an episode length of {self.episode_length} cannot be: a number from 1 up is wanted")
        for name, value, least in (("every", self.every, 1), ("held", self.held, 0)):
            if value < least:
                raise SettingError(f"{name} {value} cannot be: {least} is the least")
        if self.drop_idle is not None and not 0 < self.drop_idle < inf:
            raise SettingError(f"drop-idle is {self.drop_idle}: a number above 0 is wanted, 0.0001 in OpenVLA's filter")
        if self.every == 1 and self.every_actions == "sum":
            raise SettingError("every-actions sum adds up the actions of several timesteps: give --every as well")
        if self.family:
            check_family(self.family)

    @property
    def resampling(self) -> Resampling | None:
        """Which timesteps of a recording become timesteps."""
        if self.every == 1 and self.drop_idle is None:
            return None
        return Resampling(every=self.every, actions=self.every_actions, idle_below=self.drop_idle, held=self.held)

    def task_name(self, variant: str) -> str:
        """Name of the task, given what a file's episodes are of."""
        return self.task or variant

    def agent_name(self, container: Container, variant: str) -> str:
        """Name of the agent whose episodes a file holds."""
        return container.name

    @cached_property
    def id_leaves(self) -> tuple[str, ...]:
        """Episode-level leaves that make up the dataset's own id, and number episodes in the order of collection."""
        return ("episode_id",)

    def field_choice(self) -> FieldChoice:
        """What becomes tokens."""
        usual = type(self).__dataclass_fields__["drop_keys"].default
        return FieldChoice(
            observation_keys=self.observation_keys,
            drop_keys=self.drop_keys,
            action_keys=self.action_keys,
            discrete_keys=self.discrete_keys,
            grids_below=self.grids_below,
            instruction_key=self.instruction_key,
            images=ImageChoice(self.image_size, self.image_fit, self.frame_stack),
            modalities=self.modalities,
            unwanted=self.unwanted,
            optional=usual if isinstance(usual, tuple) else (),
        )

    def __init_subclass__(cls) -> None:
        """Only shards of TFDS come with their part where a container of one's own opens its files itself."""
        super().__init_subclass__()
        if "container" in vars(cls) and "read_by_part" not in vars(cls):
            cls.read_by_part = _SHARDS

    def parts(self, folder: Path) -> list[Part]:
        """One part per file of the split, or per range of its episodes."""
        container = self.container(folder)
        files = self._files(container)
        return [
            Part(file.name, self.task_name(container.variant(file.name)), file.size, file.first, file.num_episodes or 0)
            for file in present_files(container, files, allowed=self.allow_missing_shards)
        ]

    def files_of(self, folder: Path, part: Part) -> list[str]:
        """Names of the files of a part, relative to the input's root."""
        return _names(folder, part, self.container(folder).paths_of(part.file, part.first, part.count))

    def files_to_scan(self, folder: Path, part: Part) -> list[str] | None:
        """All but videos, of which those of the first episodes are looked at."""
        container, looked_at = self.container(folder), min(part.count, LOOKED_AT)
        rows = container.paths_of_rows(part.file, part.first, part.count)
        return _names(folder, part, [*rows, *container.paths_of(part.file, part.first, looked_at)])

    def input_names(self, folder: Path) -> list[str]:
        """Name, config and version of the input."""
        return [self.container(folder).label]

    def input_licence(self, folder: Path) -> str:
        """What the input says of its redistribution."""
        return self.container(folder).licence

    def libraries(self) -> dict[str, str]:
        """The decoder and resizer of images."""
        return {"opencv": import_cv2().__version__}

    @property
    def conventions(self) -> Conventions:
        """What the files do not settle: a setting of a source answers the convention that has its name."""
        mine = {entry.name for entry in fields(self)}
        answers: dict[str, Any] = {e.name: getattr(self, e.name) for e in fields(Conventions) if e.name in mine}
        return Conventions(**answers)

    def container(self, folder: Path) -> Container:
        """The container at a path; TFDS reads it where a field that is asked for cannot be read otherwise."""
        container = open_container(folder, self.conventions)
        if self.only not in ("", container.format):
            raise InputError(
                f"{folder} is {container.format}, {self.only} is wanted: `gato-data ingest rlds` reads any format"
            )
        named = (*self.observation_keys, *self.action_keys)
        for leaf in container.features.steps if named else ():
            name = leaf.path.removeprefix("steps/").removeprefix("observation/").removeprefix("action/")
            if matches(name, named) and not is_decodable(leaf) and container.format == "RLDS":
                why = f"{leaf.path} cannot be read without it"
                return open_container(folder, replace(self.conventions, through_tfds=why))
        return container

    @property
    def read_in_ranges(self) -> str:
        """Those that the containers here read so; a container of one's own opens its files itself."""
        return _RANGED if type(self).container is ControlSource.container else ""

    def notes(self, folder: Path) -> list[Note]:
        """The files of the split that are not there."""
        container = self.container(folder)
        return missing_notes(container, self._files(container))

    def _files(self, container: Container) -> list[File]:
        """The files of the split, or ranges of their episodes, that are asked for."""
        files = split_files(container, self.split)
        return pick_episodes(container, files, self.episodes) if self.episodes else files

    def scan(self, folder: Path, part: Part) -> PartScan:
        """Look at the episodes of a part without decoding images."""
        container = self.container(folder)
        agent = self.agent_name(container, container.variant(part.file))
        return scan_part(container, part, select(container, self.field_choice()), self._scan_choice(container), agent)

    def _scan_choice(self, container: Container) -> ScanChoice:
        if self.min_return_fraction is not None and scalar_leaf(container, REWARD) is None:
            raise InputError(
                f"{container.label} has no reward, which --min-return-fraction needs: leave that out, or name a flag "
                "of success with --require-success"
            )
        numbers = [leaf for leaf in container.features.episode if leaf.path in self.id_leaves and leaf.dtype == "int64"]
        return ScanChoice(
            returns=self.min_return_fraction is not None,
            success=success_leaf(container, self.require_success) if self.require_success else told_success(container),
            order=tuple(numbers) if self.min_return_fraction is not None else (),
            resampling=self.resampling,
            ranges=RangeChoice(actions=self.action_range, observations=self.observation_range),
            ignore_borders=self.ignore_borders,
        )

    def read(self, folder: Path, part: Part, task: TaskInfo) -> Iterator[Item]:
        """The episodes of one part that pass the task's filter."""
        container = self.container(folder)
        reader = EpisodeReader(container, part, task, self.reading(container, part))
        container.check_unchanged(part.file, part.size)
        for raw in checked_episodes(container, part.file, reader.leaves, part.first, part.count):
            key = f"records from {raw.ordinal}" if raw.rest else f"record {raw.ordinal}"
            try:
                if raw.episode is None:
                    raise raw.error or EpisodeError("nothing was read", stage="read")
                if reader.keeps(raw.episode):
                    found, notes = reader.resampled(raw.episode)
                    yield Item(key, raw.ordinal, reader.episode(found), notes=notes)
            except EpisodeError as error:
                yield Item(key, raw.ordinal, error=error, count=raw.count)
        container.check_unchanged(part.file, part.size)

    def reading(self, container: Container, part: Part) -> Reading:
        """What to make of the episodes of a part."""
        return Reading(
            choice=self.field_choice(),
            agent=self.agent_name(container, container.variant(part.file)),
            id_leaves=self.id_leaves,
            success=success_leaf(container, self.require_success) if self.require_success else None,
            ignore_borders=self.ignore_borders,
        )


def _names(folder: Path, part: Part, paths: Sequence[Path]) -> list[str]:
    """Names of files relative to the input's root."""
    root = root_of(folder)
    found = (path.relative_to(root).as_posix() if path.is_relative_to(root) else part.file for path in paths)
    return [*dict.fromkeys(found)]
