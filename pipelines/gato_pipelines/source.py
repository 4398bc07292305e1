"""What a source is: code that reads raw episodes, in parts that workers share.

A source is one module in `gato_pipelines.sources` that holds one frozen dataclass named `Source`. The module's name is
the source's name on the command line; the dataclass's fields are its settings and become command-line options
(`help` and `metavar` in a field's metadata). Modules are listed without importing them, so the list works in remote
workers too.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec

from gato_data.errors import EpisodeError
from gato_data.ranges import ElementRange
from gato_schemas.account import Note
from gato_schemas.dataset import FinalStep, TaskInfo
from gato_schemas.episode import Document, Episode, Field
from gato_schemas.index import Part


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was decided for the whole dataset before any shard is written.

    Attributes:
        tasks: every task's fields in token order and its final-step policy, sorted by name.
        agents: every agent's name, sorted.
        parts: the pieces of input, one shard per split each, in order.
        notes: what a user should know of how the input is read; the account begins with them.
        expected: what reading it will find, as far as the scan can tell; no account, which counts what was read.
        sizes: bytes of the files of each part when they were scanned; None where the source looks after them itself.
    """

    tasks: dict[str, TaskInfo]
    agents: list[str]
    parts: list[Part]
    notes: list[Note] = []
    expected: list[Note] = []
    sizes: list[int | None] = []


class Ends(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the final timesteps of episodes look like.

    Attributes:
        episodes: those seen.
        zero: those with an all-zero final action and reward.
        terminal, zero_terminal: the same numbers of episodes that end in a terminal state.
        rotated: those whose final action and reward are those of the first timestep, and not of the second.
        ones, twos: those of one and of two timesteps.
        terminal_ones, terminal_twos: the same numbers of episodes that end in a terminal state.
    """

    episodes: int = 0
    zero: int = 0
    terminal: int = 0
    zero_terminal: int = 0
    rotated: int = 0
    ones: int = 0
    twos: int = 0
    terminal_ones: int = 0
    terminal_twos: int = 0


class Borders(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the flags of timesteps say of where episodes begin and end.

    Attributes:
        episodes: those seen.
        single: those of one timestep.
        begin, end: those whose first timestep is flagged as such, and whose last one is.
        inside: those with such a flag in another timestep.
        reason: which one, of the first of these.
    """

    episodes: int = 0
    single: int = 0
    begin: int = 0
    end: int = 0
    inside: int = 0
    reason: str = ""


class ActionRanges(msgspec.Struct, frozen=True, array_like=True):
    """The ranges of the elements of one action field, by where in an episode the values are."""

    body: list[ElementRange]
    terminal: list[ElementRange]
    truncated: list[ElementRange]


class Outside(msgspec.Struct, frozen=True, array_like=True):
    """How many values of an action there are, how many lie outside its range, and how far all of them reach."""

    values: int = 0
    outside: int = 0
    low: float | None = None
    high: float | None = None


class Trouble(msgspec.Struct, frozen=True, array_like=True):
    """Why episodes cannot be used because of one field, in one of them, and how many of those looked at."""

    reason: str
    episodes: int


class PartScan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the planning pass found in one part, without decoding an image.

    Attributes:
        part: with its number of episodes filled in.
        observations, actions: the task's fields, without the ranges that need all parts; None for documents.
        agents: names.
        left_out: the other fields of a timestep, and why they are no tokens.
        ends: what final timesteps look like.
        final_step: what the file format says of them, if it does.
        returns: of every episode, if a filter needs them; None where it cannot be told.
        successes: whether every episode succeeded, if a filter needs that.
        order: the dataset's own numbers of every episode, in the order of collection; empty where it has none.
        ranges: of continuous actions if wanted: all timesteps but the last, and the last ones of episodes that end in
            a terminal state and of the others.
        outside: of continuous actions with a range that is known beforehand, of the same three groups.
        troubles: fields that cost episodes, among the first ones of the part.
        unreadable: how many episodes cannot be read, as far as that is seen without decoding an image.
        reason: why the first of them cannot.
        borders: what flags say of where episodes begin and end.
        lengths: of sequences whose length the dataset does not declare, the shortest and the longest, by
            role and field.
        texts: names of texts that are not observed although nobody asked for that.
        notes: what a user should know of how the part is read.
        hashes: uint64 of every document, little-endian, if duplicates are to be left out; 0 for an unreadable one.
        size: bytes of the part's files when they were scanned.
    """

    part: Part
    observations: list[Field] | None = None
    actions: list[Field] | None = None
    agents: list[str] = []
    left_out: dict[str, str] = {}
    ends: Ends = Ends()
    final_step: FinalStep | None = None
    returns: list[float | None] = []
    successes: list[bool] = []
    order: list[list[int]] = []
    ranges: dict[str, ActionRanges] = {}
    outside: dict[str, tuple[Outside, Outside, Outside]] = {}
    troubles: dict[str, Trouble] = {}
    unreadable: int = 0
    reason: str = ""
    borders: Borders = Borders()
    lengths: dict[str, list[int]] = {}
    texts: list[str] = []
    notes: list[Note] = []
    hashes: bytes = b""
    size: int | None = None


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
    """Reads raw episodes; its dataclass fields are its settings."""

    licence: ClassVar[str]

    @property
    def family(self) -> str:
        """Row of the paper's Table 1 that the dataset stands for; empty where it is none."""

    def parts(self, folder: Path) -> list[Part]:
        """The pieces of the input, in an order that depends on the input alone."""

    def notes(self, folder: Path) -> list[Note]:
        """What listing the input found that is not read: files passed over, files that are missing."""

    def scan(self, folder: Path, part: Part) -> PartScan:
        """What the planning pass needs to know of a part; decodes no image."""

    def read(self, folder: Path, part: Part, task: TaskInfo) -> Iterator[Item]:
        """The episodes of a part, in order; a bad one is an item with an error, never an exception."""

    def input_names(self, folder: Path) -> list[str]:
        """What the input calls itself, for the manifest; never a path."""

    def input_licence(self, folder: Path) -> str:
        """What the input says of its redistribution; empty where it says nothing."""

    def libraries(self) -> dict[str, str]:
        """Versions of the libraries that decide the decoded values."""


def setting(default: Any, text: str, metavar: str = "") -> Any:
    """A field of a source that becomes a command-line option; those shown as PATH, FILE or DIR are paths."""
    metadata = {"help": text, "metavar": metavar or None, "is_path": metavar in ("PATH", "FILE", "DIR")}
    return field(default=default, metadata=metadata)


def recorded_settings(source: Source) -> dict[str, Any]:
    """A source's settings as manifests and fingerprints hold them: of a path only the last name, not where it lies."""
    paths = {entry.name for entry in fields(source) if entry.metadata.get("is_path")}  # type: ignore[arg-type]
    settings: dict[str, Any] = asdict(source)  # type: ignore[call-overload]
    return {name: _recorded(value, is_path=name in paths) for name, value in settings.items()}


def _recorded(value: Any, *, is_path: bool) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(_recorded(each, is_path=is_path) for each in value)
    return Path(value).name if value and (is_path or isinstance(value, Path)) else value
