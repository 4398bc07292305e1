"""RLDS datasets in TFDS layout, read by their own `features.json` without TensorFlow."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from gato_data.errors import EpisodeError, MissingPackageError
from gato_pipelines.containers.container import Container, File, RawItem
from gato_pipelines.rlds.decode import EpisodeDecoder
from gato_pipelines.rlds.directory import FILE_FORMAT, Directory
from gato_pipelines.rlds.features import Leaf
from gato_schemas.dataset import FinalStep
from gato_schemas.tfrecord import RawRecord, TFRecordError, read_records

ARRAY_RECORD = "array_record"
FAST_FORMATS = (FILE_FORMAT, ARRAY_RECORD)
"""File formats whose records are read here; TFDS is asked for the others."""

_WITHOUT_LAST_REWARD = {"rlu_control_suite", "rlu_locomotion", "rlu_rwrl"}
"""TFDS's builders of these shift rewards by one timestep against actions, so that the last timestep has none."""


@dataclass(frozen=True, kw_only=True)
class RldsContainer(Container):
    """A folder of one version, with `dataset_info.json`, `features.json` and shards."""

    format: ClassVar[str] = "RLDS"

    directory: Directory

    def files(self, split: str) -> list[File]:
        """One file per shard that holds an episode."""
        shards = self.directory.open_split(split).shards
        return [
            File(shard.path.relative_to(self.path).as_posix(), shard.path.stat().st_size, shard.num_episodes)
            for shard in shards
            if shard.num_episodes != 0
        ]

    def episodes(
        self, file: str, leaves: tuple[Leaf, ...], first: int = 0, count: int | None = None
    ) -> Iterator[RawItem]:
        """The episodes of a shard; a damaged record does not stop the others."""
        decoder = EpisodeDecoder(leaves)
        read = _read_array_records if self.directory.file_format == ARRAY_RECORD else read_records
        try:
            for record in read(self.path / file, first, count):
                yield _decode(decoder, record)
        except TFRecordError as error:
            # the damaged rest counts as one episode where the dataset does not say how many there are
            lost = 1 if count is None else first + count - error.ordinal
            noun = "episode" if lost == 1 else "episodes"
            reason = EpisodeError(f"{error}; {lost} {noun} from there on cannot be read", stage="read")
            yield RawItem(error.ordinal, error=reason, count=lost, rest=True)


def _decode(decoder: EpisodeDecoder, record: RawRecord) -> RawItem:
    try:
        if record.error is not None:
            raise EpisodeError(record.error, stage="read")
        return RawItem(record.ordinal, decoder.decode(record.data))
    except EpisodeError as error:
        return RawItem(record.ordinal, error=error)


def _read_array_records(path: Path, first: int, count: int | None) -> Iterator[RawRecord]:
    """As `read_records`, for the file format that TFDS writes for random access; its records are the same."""
    try:
        from array_record.python.array_record_module import ArrayRecordReader
    except ImportError as error:
        raise MissingPackageError(f"{path.name} needs array_record: pip install array_record") from error
    ordinal = first
    try:
        reader = ArrayRecordReader(str(path))
        stored = reader.num_records()
        for ordinal in range(first, stored if count is None else min(first + count, stored)):
            yield RawRecord(ordinal, 0, reader.read([ordinal])[0])
        reader.close()
    except (RuntimeError, ValueError, IndexError) as error:
        raise TFRecordError(f"{path.name} is damaged at record {ordinal}", ordinal) from error
    if count is not None and stored < first + count:
        raise TFRecordError(f"{path.name} ends after {stored} of {first + count} records", stored)


def described(directory: Directory) -> dict[str, Any]:
    """What a container takes over from a TFDS folder."""
    convention = None
    if directory.name in _WITHOUT_LAST_REWARD:
        convention = FinalStep("drop", f"in {directory.name} the final timestep has no action and reward of its own")
    return {
        "path": directory.path,
        "name": directory.name,
        "config": directory.config,
        "version": directory.version,
        "licence": directory.licence,
        "final_step": convention,
        "directory": directory,
    }


def rlds_container(directory: Directory) -> RldsContainer:
    """The container of a folder in one of `FAST_FORMATS`."""
    return RldsContainer(features=directory.features, **described(directory))
