"""What a source is: code that reads raw episodes, in parts that workers share.

A source is one module in `gato_pipelines.sources` that holds one frozen dataclass named `Source`.
The module's name is the source's name on the command line; the dataclass's fields are its settings
and become command-line options. Modules are listed without importing them, so the list works in
remote workers too.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

import msgspec

from gato_data.closest import closest
from gato_data.errors import EpisodeError, SettingError
from gato_data.families import TABLE_1
from gato_data.settings import recorded, setting
from gato_pipelines.part_scan import PartScan
from gato_schemas.account import Note
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Bins, Document, Episode
from gato_schemas.index import Part
from gato_schemas.selection import Resampling

__all__ = [
    "ActionRange",
    "FinalStepSetting",
    "Item",
    "PartScan",
    "Plan",
    "Source",
    "check_family",
    "recorded_settings",
    "setting",
]

FinalStepSetting: TypeAlias = Literal["auto", "keep", "drop"]
ActionRange: TypeAlias = Literal["none", "minmax", "quantile", "stats"] | tuple[float, float]


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was decided for the whole dataset before any shard is written.

    Attributes:
        tasks: every task's fields in token order and its final-step policy, sorted by name.
        agents: every agent's name, sorted.
        parts: of the inputs, one shard per split each, in order.
        notes: what a user should know of how the input is read; the account begins with them.
        expected: what reading it will find, as far as the scan can tell; the account counts what
            was read.
        sizes: bytes of the files of each part when they were scanned; None where the source looks
            after them itself.
        decodes_video: whether frames of videos become tokens, so that their decoder decides bytes.
        successes: of each part what became of its episodes, as `control.filtering.outcomes` has it.
    """

    tasks: dict[str, TaskInfo]
    agents: list[str]
    parts: list[Part]
    notes: list[Note] = []
    expected: list[Note] = []
    sizes: list[int | None] = []
    decodes_video: bool = False
    successes: list[bytes] = []


@dataclass(frozen=True, slots=True)
class Item:
    """One raw episode or document, why it could not be read, or notes alone.

    Attributes:
        key: what the source calls it, for dead letters: file and record.
        ordinal: its number in the part's file.
        content: None where it could not be read.
        error: why not.
        count: how many episodes the error stands for (the rest of a truncated file).
        notes: what reading it left out.
    """

    key: str
    ordinal: int
    content: Episode | Document | None = None
    error: EpisodeError | None = None
    count: int = 1
    notes: tuple[Note, ...] = ()


class Source(Protocol):
    """Reads raw episodes; its dataclass fields are its settings.

    What is abstract is every source's own. The rest has defaults, which a source that does not
    inherit from this class gets as well (see `registry.own`).

    Class attributes say what a source is for: `licence` of what it reads, `formats` and
    `tokens_per_timestep` in words, `families` as rows of the paper's Table 1, an `example` of its
    command, and `read_by_part`, a pattern of the names of files that nothing but their own part
    opens, apart from their first bytes.
    """

    licence: ClassVar[str] = ""
    formats: ClassVar[str] = ""
    families: ClassVar[tuple[str, ...]] = ()
    tokens_per_timestep: ClassVar[str] = ""
    example: ClassVar[str] = ""
    reads_documents: ClassVar[bool] = False
    read_by_part: ClassVar[str] = ""

    @property
    @abstractmethod
    def family(self) -> str:
        """Row of Table 1 that the dataset stands for; empty where it is none."""

    @abstractmethod
    def parts(self, folder: Path) -> list[Part]:
        """The parts of the input, in an order that depends on the input alone."""

    @abstractmethod
    def scan(self, folder: Path, part: Part) -> PartScan:
        """What the planning pass needs to know of a part; decodes no image."""

    @abstractmethod
    def read(self, folder: Path, part: Part, task: TaskInfo) -> Iterator[Item]:
        """The episodes of a part, in order; a bad one is an item with an error, no exception."""

    @abstractmethod
    def input_names(self, folder: Path) -> list[str]:
        """What the input calls itself, for the manifest; never a path."""

    @abstractmethod
    def input_licence(self, folder: Path) -> str:
        """What the input says of its redistribution; empty where it says nothing."""

    @abstractmethod
    def libraries(self) -> dict[str, str]:
        """Versions of the libraries that decide the decoded values."""

    def files_of(self, folder: Path, part: Part) -> list[str]:
        """Names of the files of a part, relative to the input's root."""
        return [part.file]

    def files_to_scan(self, folder: Path, part: Part) -> list[str] | None:
        """Names of those of the files of a part that its scan opens; None for all."""
        return None

    @property
    def read_in_ranges(self) -> str:
        """Pattern of the names of files that are opened with `remote.ranged`, and so never copied; empty for none."""
        return ""

    def notes(self, folder: Path) -> list[Note]:
        """What listing the input found that is not read: files passed over or missing."""
        return []

    @property
    def end_of_text(self) -> bool | None:
        """Whether texts of documents end with a token of their own; None as ingest says."""
        return None

    @property
    def allow_missing_shards(self) -> bool | None:
        """Whether to go on without files that are missing; None where it never can."""
        return None

    @property
    def ignore_borders(self) -> bool:
        """Whether flags of first and last timesteps inside an episode mean nothing."""
        return False

    @property
    def action_range(self) -> ActionRange:
        """The range of continuous actions that is mapped to [-1, 1]."""
        return "none"

    @property
    def action_bins(self) -> Bins:
        """How the range of continuous actions is cut."""
        return "1024"

    @property
    def held(self) -> int:
        """How many numbers at the end of an action are held, such as a gripper."""
        return 1

    @property
    def observation_range(self) -> ActionRange:
        """The range of continuous observations that is mapped to [-1, 1]."""
        return "none"

    @property
    def resampling(self) -> Resampling | None:
        """Which timesteps of a recording become timesteps; None where all do."""
        return None

    @property
    def final_step(self) -> FinalStepSetting:
        """What becomes of final timesteps."""
        return "auto"

    @property
    def min_return_fraction(self) -> float | None:
        """Share of the expert's return that an episode needs to be kept."""
        return None

    @property
    def require_success(self) -> str:
        """Name of a flag that an episode needs to be kept; empty where it needs none."""
        return ""


def check_family(family: str) -> None:
    """Check a row of Table 1.

    Raises:
        SettingError: there is none of that name.
    """
    if family not in TABLE_1:
        close = closest(family, TABLE_1)
        hint = f"did you mean {close!r}?" if close else f"there are {', '.join(TABLE_1)}"
        raise SettingError(f"family {family!r} is no row of the paper's Table 1: {hint}")


def recorded_settings(source: Source) -> dict[str, Any]:
    """A source's settings as manifests and fingerprints hold them: of a path its last name only."""
    paths = {entry.name for entry in fields(source) if entry.metadata.get("is_path")}  # type: ignore[arg-type]
    return {name: _recorded(value, is_path=name in paths) for name, value in recorded(source).items()}


def _recorded(value: Any, *, is_path: bool) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(_recorded(each, is_path=is_path) for each in value)
    return Path(value).name if value and (is_path or isinstance(value, Path)) else value
