"""RLDS datasets in TFDS layout, read by their own `features.json` without TensorFlow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from gato_data.errors import EpisodeError, InputError
from gato_data.printable import counted
from gato_pipelines.containers.container import Container, File, RawItem
from gato_pipelines.containers.rlds_videos import frames_decoder, with_frames
from gato_pipelines.containers.shard_records import TFDS_FORMATS, num_records, read_shard
from gato_pipelines.rlds.directory import Directory
from gato_pipelines.rlds.environment import read_environment
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Leaf
from gato_pipelines.rlds.versions import DATASET_INFO
from gato_schemas.account import Note
from gato_schemas.dataset import FinalStep
from gato_schemas.tfrecord import RawRecord, TFRecordError

_WITHOUT_LAST_REWARD = {"rlu_control_suite", "rlu_locomotion", "rlu_rwrl"}
"""TFDS's builders of these shift rewards by one timestep against actions,
so that the last timestep has none."""


class RecordDecoder(Protocol):
    """Turns a record into an episode."""

    def decode(self, record: bytes) -> RldsEpisode:
        """Decode one record.

        Raises:
            EpisodeError: it is not what the features say.
        """


@dataclass(frozen=True, kw_only=True)
class RldsContainer(Container):
    """A folder of one version, with `dataset_info.json`, `features.json` and shards.

    Attributes:
        directory: what it holds.
        videos: of episodes, whose frames are leaves of timesteps, by the paths of these.
    """

    format: ClassVar[str] = "RLDS"

    directory: Directory
    videos: Mapping[str, Leaf] = field(default_factory=dict)

    @property
    def splits(self) -> tuple[str, ...]:
        """Those of `dataset_info.json`."""
        return tuple(self.directory.splits)

    def files(self, split: str) -> list[File]:
        """One file per shard."""
        found = []
        for shard in self.directory.split(split).shards:
            name, missing = shard.path.relative_to(self.path).as_posix(), shard.absence()
            if not missing and shard.num_episodes == 0:
                self.check_announced(name)
            size = 0 if missing else shard.path.stat().st_size
            found.append(File(name, size, shard.num_episodes, missing=missing if shard.num_episodes != 0 else ""))
        return found

    def check_announced(self, file: str) -> None:
        """TFDS refuses such a shard as well; reading the announced ones would drop the others in silence."""
        path = self.path / file
        shards = (shard for split in self.directory.splits.values() for shard in split.shards)
        announced = next((shard.num_episodes for shard in shards if shard.path == path), None)
        if announced is None:
            return
        found = num_records(path, self.directory.file_format)
        if found is not None and found > announced:
            raise InputError(
                f"{file} holds {counted(found, 'episode')}, but {DATASET_INFO} announces {announced}: correct its "
                "shardLengths, or download the dataset again"
            )

    def decoder(self, leaves: tuple[Leaf, ...]) -> RecordDecoder:
        """What decodes the records."""
        return frames_decoder(leaves, self.videos)

    def episodes(
        self, file: str, leaves: tuple[Leaf, ...], first: int = 0, count: int | None = None
    ) -> Iterator[RawItem]:
        """The episodes of a shard; a damaged record does not stop the others."""
        decoder = self.decoder(leaves)
        try:
            for record in read_shard(self.path / file, self.directory.file_format, first, count):
                yield _decode(decoder, record)
        except TFRecordError as error:
            # the damaged rest counts as one episode where the dataset does not say how many
            start = max(first, error.ordinal)
            lost = 1 if count is None else first + count - start
            reason = EpisodeError(f"{error}; {counted(lost, 'episode')} from there on cannot be read", stage="read")
            yield RawItem(start, error=reason, count=lost, rest=True)


def _decode(decoder: RecordDecoder, record: RawRecord) -> RawItem:
    try:
        if record.error is not None:
            raise EpisodeError(record.error, stage="read")
        return RawItem(record.ordinal, decoder.decode(record.data))
    except EpisodeError as error:
        return RawItem(record.ordinal, error=error)


def described(directory: Directory, why_slow: str = "") -> dict[str, Any]:
    """What a container takes over from a TFDS folder; `why_slow` is why TFDS reads it, apart from its file format."""
    convention, stored = None, directory.file_format
    why_slow = why_slow or (f"it is stored as {stored}" if stored in TFDS_FORMATS else "")
    environment, notes = read_environment(directory)
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
        "environment": environment,
        "notes": (*notes, slow_note(directory, why_slow)) if why_slow else notes,
    }


def slow_note(directory: Directory, why: str) -> Note:
    """What a user should know where TFDS is needed."""
    return Note("read", f"{directory.name} is read by TensorFlow Datasets, several times slower than otherwise: {why}")


def rlds_container(directory: Directory) -> RldsContainer:
    """The container of a folder in one of `FILE_FORMATS` or `TFDS_FORMATS`."""
    features, videos = with_frames(directory.features)
    return RldsContainer(features=features, videos=videos, **described(directory))
