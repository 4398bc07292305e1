"""The manifest of a dataset folder."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from gato_schemas.account import Note
from gato_schemas.bounds import Digest, Id, Natural, Rows, Side
from gato_schemas.compression import PatchEncoding
from gato_schemas.episode import Field
from gato_schemas.errors import FormatError
from gato_schemas.origin import Origin, SourceInfo
from gato_schemas.regular_file import read_regular
from gato_schemas.selection import EpisodeFilter, Resampling
from gato_schemas.sequence import Modality
from gato_schemas.statistics import Counts, FieldStatistics
from gato_schemas.versioned import VersionError, decode_versioned

FORMAT_VERSION = 3
MANIFEST = "dataset.json"
MANIFEST_COPY = "dataset_copy.json"
"""The same bytes once more, for a repair: the manifest alone knows of fields, settings and source."""
DEAD_LETTERS = "dead_letters.jsonl"
TEXT_MODEL = "text.model"
TFDS_INFO, TFDS_FEATURES = "dataset_info.json", "features.json"
CARD, PICTURE, CROISSANT = "README.md", "frames.png", "croissant.json"
BESIDE_SHARDS = (MANIFEST, MANIFEST_COPY, DEAD_LETTERS, TEXT_MODEL, TFDS_INFO, TFDS_FEATURES, CARD, PICTURE, CROISSANT)
"""The files that a dataset may have beside its shards and their indexes."""
"""What the folder says of itself to people and to hubs; no reader needs it."""
Channels: TypeAlias = Literal[1, 3, 4]
ActionValues: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
WORK = ".ingest"
"""Folder inside an unfinished dataset that holds the plan and temporary shards; it is removed at the end."""


class VocabularyInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table of id ranges: [offset, offset + size) of each modality.

    `size` is the number of rows of the whole table; `patch_filler` stands in `tokens` where a patch is;
    `text_model` is the SHA-256 of the text model, None where no text was tokenized.
    """

    text_size: Rows
    discrete_offset: Rows
    discrete_size: Rows
    continuous_offset: Rows
    continuous_size: Rows
    separator: Rows
    size: Rows
    token_dtype: Literal["uint16", "int32"]
    patch_filler: Id
    text_model: str | None = None

    def __post_init__(self) -> None:
        ends = (self.text_size, self.discrete_offset + self.discrete_size, self.separator + 1)
        if max(*ends, self.continuous_offset + self.continuous_size) > self.size:
            raise ValueError(f"an id range of the vocabulary ends behind its {self.size} rows")

    def id_range(self, modality: Modality) -> tuple[int, int]:
        """First id and one past the last id of a modality; patches have the filler alone."""
        first, size = {
            Modality.TEXT: (0, self.text_size),
            Modality.PATCH: (self.patch_filler, 1),
            Modality.DISCRETE: (self.discrete_offset, self.discrete_size),
            Modality.CONTINUOUS: (self.continuous_offset, self.continuous_size),
            Modality.SEPARATOR: (self.separator, 1),
        }[modality]
        return first, first + size


class FinalStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was done with the final timestep of every episode of a task, and how that was decided.

    "drop-terminal" drops it from episodes that end in a terminal state only.
    """

    policy: Literal["keep", "drop", "drop-terminal"]
    reason: str


class ImageInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The raw image of a field, and how it gets the size that is cut into patches.

    Attributes:
        shape: height, width and channels of one frame: 1 gray, 3 RGB, 4 RGB with an alpha channel, which is shown on
            white; a side is None where images of any size were taken.
        mode, scales, size: the fit, as `gato_data.image_fit.ImageFit` has them; a side of the size is None where it is
            the next multiple of 16.
        frames: how many gray frames or pictures a raw value stacks, of which the last one is taken.
        frames_first: whether these lie along its first axis; along its last one otherwise, where one frame is no stack.
    """

    shape: tuple[Side | None, Side | None, Channels]
    mode: Literal["resize", "pad", "crop"]
    scales: bool
    size: tuple[Side | None, Side | None]
    frames: Annotated[int, msgspec.Meta(ge=1, le=255)] = 1
    frames_first: bool = False


class EnvironmentInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a recording says of the simulator that it was made in.

    Attributes:
        family: the name of the recorder, such as "dm-control".
        id: what was played: a game, a level, a task.
        options: how, by the recorder's own names.
        versions: of the libraries that were played with.
        policy: who played, in a few words.
    """

    family: str
    id: str
    options: dict[str, Any] = {}
    versions: dict[str, str] = {}
    policy: str = ""


class Scores(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How well those played whose episodes are in the training split.

    Attributes:
        episodes: how many there are.
        mean_return: of those that have rewards; None where none has.
        expert_return: the highest mean return of consecutive episodes (paper section 3.1); None where none has rewards.
        success_rate: share of those that say whether they succeeded; None where none does.
    """

    episodes: Natural
    mean_return: float | None = None
    expert_return: float | None = None
    success_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


class TaskInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One task: its fields in token order and how much of it there is, over all splits.

    Attributes:
        observations: their fields, in token order.
        actions: their fields, in token order.
        final_step: what became of final timesteps.
        filter: which episodes were kept.
        left_out: why each of the other fields of a timestep is no token.
        images: the raw image of every image field, by its name.
        action_values: how many values every discrete action field has, from `Field.start` on; as the input declares
            them, else up to the largest that occurs.
        resampling: which timesteps of the recording these are; None where it is all of them.
        environment: where the episodes were played; None where the input does not say it.
        scores: how well.
        counts: how much there is.
    """

    observations: list[Field]
    actions: list[Field]
    final_step: FinalStep | None = None
    filter: EpisodeFilter | None = None
    left_out: dict[str, str] = {}
    images: dict[str, ImageInfo] = {}
    action_values: dict[str, ActionValues] = {}
    resampling: Resampling | None = None
    environment: EnvironmentInfo | None = None
    scores: Scores | None = None
    counts: Counts = Counts()

    @property
    def tokens_per_timestep(self) -> int:
        """Tokens of a timestep with its separator and action; text is not counted."""
        return sum(field.num_tokens for field in (*self.observations, *self.actions)) + 1

    @property
    def has_text(self) -> bool:
        """Whether the length of a timestep varies with a text."""
        return any(field.modality == "text" for field in self.observations)


class ShardInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One shard file and its totals; `digest` is the SHA-256 of its bytes, as `sha256sum` prints it."""

    name: str
    size: Natural
    digest: Digest
    totals: Counts


class SplitInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The shards of one split, in order, and their sum."""

    shards: list[ShardInfo]
    totals: Counts

    @classmethod
    def of(cls, shards: list[ShardInfo]) -> "SplitInfo":
        """A split of these shards."""
        return cls(shards=shards, totals=sum((shard.totals for shard in shards), Counts()))


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`dataset.json`, written last: its existence means that the dataset is complete.

    `tasks` is sorted by name; a task's number is its position, likewise an agent's. `holdout` is the share of episodes
    that was to go to the validation split; `account` says how the input was read, and what of it was not; `origin` what
    other datasets it was made of, None where an ingest made it alone.
    `dead_letters` counts episodes, `dead_letters_digest` is the SHA-256 of the file that lists them. The file has two
    keys more, made of the others: `content_id`, and `checksum`, by which damage is told from difference.
    """

    version: int = FORMAT_VERSION
    name: str
    family: str
    source: SourceInfo
    libraries: dict[str, str]
    vocabulary: VocabularyInfo
    tokenization: dict[str, Any]
    patch_encoding: PatchEncoding
    max_observation_tokens: Natural
    tasks: dict[str, TaskInfo]
    agents: list[str]
    holdout: float = 0.0
    splits: dict[str, SplitInfo]
    statistics: list[FieldStatistics]
    dead_letters: Natural
    dead_letters_digest: Digest = hashlib.sha256(b"").hexdigest()
    account: list[Note] = []
    fingerprint: str
    origin: Origin | None = None

    @property
    def totals(self) -> Counts:
        """How much there is in all splits together."""
        return sum((split.totals for split in self.splits.values()), Counts())

    @property
    def content_id(self) -> str:
        """What the dataset is: equal for datasets whose shards have the same bytes in the same order."""
        lines = (f"{split} {shard.digest}\n" for split, info in sorted(self.splits.items()) for shard in info.shards)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


_OF_PLAY = ("images", "action_values", "resampling", "environment", "scores")
"""Keys of a task that are left out where nothing is known: datasets without them keep their bytes."""


def encode_manifest(manifest: Manifest) -> bytes:
    """Readable JSON with sorted keys, sealed by its checksum."""
    content = {**msgspec.to_builtins(manifest), "content_id": manifest.content_id}
    for task in content["tasks"].values():
        for name in _OF_PLAY:
            if not task[name]:
                del task[name]
    if manifest.origin is None:
        del content["origin"]
    content["checksum"] = manifest_checksum(content)
    return msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=2) + b"\n"


def manifest_checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's JSON without its checksum: keys sorted, no spaces."""
    rest = {name: value for name, value in content.items() if name != "checksum"}
    return hashlib.sha256(msgspec.json.encode(rest, order="sorted")).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a dataset folder.

    Raises:
        FormatError: there is none, it is of another version, damaged or malformed.
    """
    path = folder / MANIFEST
    try:
        data = read_regular(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        if folder.is_file():
            where = (
                f"the dataset in its folder, {folder.parent}" if folder.name == MANIFEST else "the folder of a dataset"
            )
            raise FormatError(f"{folder} is a file: give {where}") from error
        if not folder.exists():
            raise FormatError(f"{folder} does not exist: give the folder of a dataset") from error
        if (folder / MANIFEST_COPY).is_file() and not (folder / WORK).exists():
            raise FormatError(
                f"{path} is missing: gato-data verify --repair {folder} makes it again from its copy"
            ) from error
        raise FormatError(
            f"{folder} has no {MANIFEST}: it is not a dataset of gato-data, or its ingest did not finish"
        ) from error
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error.strerror})") from error
    try:
        return decode_manifest(data, str(path))
    except VersionError:
        raise
    except FormatError as error:
        raise FormatError(f"{error}: gato-data verify --repair {folder} makes it again from its copy") from error


def decode_manifest(data: bytes, name: str) -> Manifest:
    """Parse the bytes of a manifest; `name` is that of the file in errors.

    Raises:
        FormatError: it is of another version (a VersionError), damaged or malformed.
    """
    problem = "is not a manifest of gato-data"
    advice = ": ingest again from its source"
    content = decode_versioned(
        data, dict[str, Any], FORMAT_VERSION, name=name, noun="format", problem=problem, advice=advice
    )
    try:
        whole = content.get("checksum") == manifest_checksum(content)
    except OverflowError:  # of a number that no manifest has
        whole = False
    if not whole:
        raise FormatError(f"{name} is damaged: its content does not match its checksum")
    rest = {key: value for key, value in content.items() if key not in ("checksum", "content_id")}
    try:
        manifest = msgspec.convert(rest, Manifest)
    except msgspec.ValidationError as error:
        raise FormatError(f"{name} {problem} ({error})") from error
    if content.get("content_id") != manifest.content_id:
        raise FormatError(f"{name} {problem} (it has another content id than its shards)")
    for split in manifest.splits.values():
        for shard in split.shards:
            if Path(shard.name).name != shard.name or shard.name in ("", ".", "..") or "\0" in shard.name:
                raise FormatError(f"{name} names a shard outside its folder: {shard.name!r}")
    return manifest


def shard_name(dataset: str, split: str, number: int, shards: int) -> str:
    """TFDS's name of shard `number` of `shards`."""
    return f"{dataset}-{split}.tfrecord-{number:05d}-of-{shards:05d}"
