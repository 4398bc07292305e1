"""An RLDS dataset on disk: the folder of one version, as TFDS writes it."""

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from glob import escape
from pathlib import Path, PurePosixPath

import msgspec

from gato_data.closest import closest
from gato_data.errors import InputError
from gato_pipelines.rlds.features import Features, parse_features
from gato_pipelines.rlds.versions import DATASET_INFO, FEATURES, find_version
from gato_schemas.errors import FormatError
from gato_schemas.tfds import SHARD_TEMPLATE
from gato_schemas.tfrecord import LFS_MAGIC, TFRecordError, refuse_foreign

FILE_FORMAT = "tfrecord"
MAX_JSON_BYTES = 1 << 26
MAX_SHARDS = 1_000_000
_VARIABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of records; `num_episodes` is None where the dataset does not say."""

    path: Path
    num_episodes: int | None

    def absence(self) -> str:
        """Why a shard counts as missing; empty where it is there.

        Raises:
            FormatError: it is compressed.
        """
        head = b""
        try:
            with self.path.open("rb") as file:
                head = file.read(64)
                refuse_foreign(head, self.path)
        except OSError as error:
            partial = any(self.path.parent.glob(escape(self.path.name) + "?*"))
            return "only a partial download is there" if partial else error.strerror or type(error).__name__
        except TFRecordError as error:
            if not head.startswith(LFS_MAGIC):
                raise
            return str(error)
        return "" if head or not self.num_episodes else "it is empty"


@dataclass(frozen=True, slots=True)
class Split:
    """The shards of one split, in order."""

    name: str
    shards: tuple[Shard, ...]

    @property
    def num_episodes(self) -> int | None:
        """Episodes of the split; None where the dataset does not say."""
        counts = [shard.num_episodes for shard in self.shards]
        return None if None in counts else sum(count or 0 for count in counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """An RLDS dataset; all text is as its author wrote it.

    Attributes:
        path: the folder of the version.
        name: of the dataset, such as "rlu_atari".
        config: such as "Breakout_run_1"; empty if there are no configs.
        version: such as "1.3.0".
        description: of the config if there is one, else of the dataset.
        licence: redistribution terms; empty if undeclared.
        features: all leaves.
        splits: by name, in the dataset's order; their shards may be missing (see `Shard.absence`).
        file_format: of the shards, as TFDS names it.
    """

    path: Path
    name: str
    config: str
    version: str
    description: str
    licence: str
    features: Features
    splits: dict[str, Split]
    file_format: str = FILE_FORMAT

    def split(self, name: str) -> Split:
        """One split, whose shards may be missing (see `Shard.absence`).

        Raises:
            InputError: there is no such split.
        """
        split = self.splits.get(name)
        if split is None:
            close = closest(name, self.splits)
            hint = f"did you mean {close!r}?" if close else f"it has {', '.join(self.splits)}"
            raise InputError(f"{self.path} has no split {name!r}: {hint}")
        return split


class _SplitJson(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    shard_lengths: list[int] = []
    num_shards: int = 0
    filepath_template: str = ""


class _Redistribution(msgspec.Struct, frozen=True):
    license: str = ""


class _Info(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    config_name: str = ""
    version: str = ""
    description: str = ""
    config_description: str = ""
    file_format: str = ""
    alternative_file_formats: list[str] = []
    redistribution_info: _Redistribution = _Redistribution()
    splits: list[_SplitJson] = []


def open_directory(path: Path, formats: Collection[str] = (FILE_FORMAT,)) -> Directory:
    """Open an RLDS dataset by its version's folder, or by a folder above it that holds only one version.

    Args:
        path: the folder.
        formats: file formats that will do, the first of them preferred.

    Raises:
        InputError: the folder is empty, holds several versions or no RLDS dataset, or its file
            format is not among `formats`.
        FormatError: its JSON files are damaged.
    """
    folder = find_version(path)
    info = _read_info(folder)
    file_format = _file_format(folder, info, formats)
    try:
        features = parse_features(_read(folder / FEATURES))
    except InputError as error:
        raise InputError(f"{folder / FEATURES}: {error}") from error
    if not info.splits:
        raise InputError(f"{folder} has no splits in {DATASET_INFO}: it holds no data (was its build interrupted?)")
    name = info.name or _name_from(folder, info.config_name)
    return Directory(
        path=folder,
        name=name,
        config=info.config_name,
        version=info.version,
        description=(info.config_description or info.description).strip(),
        licence=info.redistribution_info.license.strip(),
        features=features,
        splits={split.name: _split(folder, name, split, file_format) for split in info.splits},
        file_format=file_format,
    )


def _file_format(folder: Path, info: _Info, formats: Collection[str]) -> str:
    stored = [name.lower() for name in (info.file_format or FILE_FORMAT, *info.alternative_file_formats)]
    found = next((name for name in formats if name in stored), None)
    if found is None:
        raise InputError(
            f"{folder} is stored as {info.file_format}, which cannot be read here: convert it with "
            f"`tfds convert_format --dataset_version_dir={folder} --out_file_format={FILE_FORMAT}`"
        )
    return found


def _read_info(folder: Path) -> _Info:
    try:
        info = msgspec.json.decode(_read(folder / DATASET_INFO), type=_Info, strict=False)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise FormatError(f"{folder / DATASET_INFO} is not the description of a TFDS dataset: {error}") from error
    return info


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(min(os.fstat(file.fileno()).st_size, MAX_JSON_BYTES) + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    if len(data) > MAX_JSON_BYTES:
        raise FormatError(f"{path} is larger than {MAX_JSON_BYTES >> 20} MiB: it is not a TFDS file")
    refuse_foreign(data[:64], path)
    return data


def _name_from(folder: Path, config: str) -> str:
    """The dataset's name where only its folders say it: `<name>/<config>/<version>`."""
    parents = folder.resolve().parents
    return parents[1 if config else 0].name if len(parents) > 1 else folder.name


def _split(folder: Path, dataset: str, split: _SplitJson, file_format: str) -> Split:
    count = len(split.shard_lengths) or split.num_shards
    if not 0 <= count <= MAX_SHARDS or any(length < 0 for length in split.shard_lengths):
        raise FormatError(
            f"{folder / DATASET_INFO} gives split {split.name!r} an impossible number of shards or episodes"
        )
    lengths: list[int | None] = [*split.shard_lengths] or [None] * count
    template = split.filepath_template or SHARD_TEMPLATE
    names = [_shard_name(template, (dataset, split.name, file_format), index, count) for index in range(count)]
    return Split(split.name, tuple(Shard(folder / name, length) for name, length in zip(names, lengths, strict=True)))


def _shard_name(template: str, names: tuple[str, str, str], index: int, count: int) -> str:
    """Path of a shard relative to its dataset's folder.

    Raises:
        FormatError: the template has an unknown variable, or the path would leave the folder.
    """
    digits = max(5, len(str(count)))
    values = {
        "DATASET": names[0],
        "SPLIT": names[1],
        "FILEFORMAT": names[2],
        "SHARD_INDEX": f"{index:0{digits}}",
        "NUM_SHARDS": f"{count:0{digits}}",
        "SHARD_X_OF_Y": f"{index:0{digits}}-of-{count:0{digits}}",
    }
    if unknown := [name for name in _VARIABLE.findall(template) if name not in values]:
        raise FormatError(f"{DATASET_INFO} names shards by {template!r}, whose {{{unknown[0]}}} is unknown")
    name = _VARIABLE.sub(lambda match: values[match[1]], template)
    pure = PurePosixPath(name)
    if not pure.parts or pure.is_absolute() or ".." in pure.parts or not name.isprintable() or "\\" in name:
        raise FormatError(f"{DATASET_INFO} names a shard {name!r}, which lies outside the dataset's folder")
    return name
