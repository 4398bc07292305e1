"""Raw Atari files of RL Unplugged: GZIP TFRecords of flat tf.Examples, one per episode.

    <Game>/run_<n>-<shard>-of-<shards>      as in the public bucket `rl_unplugged/atari_episodes_ordered`

The episodes come out as TFDS's `rlu_atari` converts them: the reward is `unclipped_rewards`, and an
episode ended in a terminal state if its last discount is 0.
"""

import gzip
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, InputError
from gato_data.image_header import read_header
from gato_pipelines.containers.container import (
    ACTION,
    OBSERVATION,
    REWARD,
    TERMINAL,
    Container,
    File,
    RawItem,
)
from gato_pipelines.containers.shard_names import absent_shards
from gato_pipelines.remote.ranged import open_input
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf
from gato_pipelines.rlds.values import read_array, read_bytes
from gato_schemas.errors import FormatError
from gato_schemas.tfrecord import FOOTER_BYTES, HEADER_BYTES, masked_crc32c
from gato_schemas.wire import decode_example, read_feature

MAX_EPISODE_BYTES = 1 << 30
"""Bytes of one episode: far above any of the public ones,
so that a small file cannot claim all memory."""
FILE_NAME = re.compile(r"^(?P<run>run_\d+)-\d{5}-of-\d{5}$")
_KEYS = {
    "checkpoint_id": "checkpoint_idx",
    "episode_id": "episode_idx",
    OBSERVATION: "observations",
    ACTION: "actions",
    REWARD: "unclipped_rewards",
    "steps/discount": "discounts",
}
_LENGTH, _CRC = struct.Struct("<Q"), struct.Struct("<I")


@dataclass(frozen=True, kw_only=True)
class RluRawContainer(Container):
    """A folder of one game, or one of its files `alone`."""

    format: ClassVar[str] = "RL Unplugged Atari (GZIP TFRecord)"

    names: tuple[str, ...]
    alone: bool

    def variant(self, file: str) -> str:
        """Game and run, named as the configs of TFDS's `rlu_atari`."""
        match = FILE_NAME.match(file)
        return f"{self.config}_{match['run']}" if match else self.config

    def files(self, split: str) -> list[File]:
        """All files; the number of episodes is in none of them."""
        if split != "train":
            raise InputError(f"{self.path} has no split {split!r}: raw RL Unplugged files have only 'train'")
        found = [File(name, (self.path / name).stat().st_size, None) for name in self.names]
        return found if self.alone else [*found, *absent_shards(self.names)]

    def episodes(
        self, file: str, leaves: tuple[Leaf, ...], first: int = 0, count: int | None = None
    ) -> Iterator[RawItem]:
        """The episodes of a file; after damage nothing more of it can be read."""
        found = 0
        try:
            for record in _records(self.path / file):
                if count is not None and found >= first + count:
                    return
                if found >= first:
                    yield _item(found, record, leaves)
                found += 1
            if count is not None and found < first + count:
                raise FormatError(f"it ends after {found} episodes, {first + count} were wanted")
        except (FormatError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            lost = 1 if count is None else first + count - found
            problem = EpisodeError(f"{file} is damaged: {error}", stage="read")
            yield RawItem(found, error=problem, count=lost, rest=True)


def rlu_raw_container(path: Path) -> RluRawContainer:
    """The container of a game's folder, or of one file.

    Raises:
        InputError: its first record is no Atari episode of RL Unplugged.
        OSError: it cannot be read.
    """
    folder, names = (path.parent, (path.name,)) if path.is_file() else (path, tuple(sorted(_named(path))))
    shape = _frame_shape(folder / names[0])
    leaves = (
        Leaf(path="checkpoint_id", kind=Kind.TENSOR, dtype="int64"),
        Leaf(path="episode_id", kind=Kind.TENSOR, dtype="int64"),
        Leaf(path=ACTION, kind=Kind.TENSOR, dtype="int64"),
        Leaf(path="steps/discount", kind=Kind.TENSOR, dtype="float32"),
        Leaf(path=TERMINAL, kind=Kind.TENSOR, dtype="bool"),
        Leaf(path=OBSERVATION, kind=Kind.IMAGE, dtype="uint8", shape=shape, image_format="png"),
        Leaf(path=REWARD, kind=Kind.TENSOR, dtype="float32"),
    )
    game = folder.resolve().name
    return RluRawContainer(
        path=folder,
        name="rlu_atari",
        config=game,
        version="raw",
        licence="Apache-2.0 (RL Unplugged)",
        features=Features(leaves),
        names=names,
        alone=path.is_file(),
    )


def _named(folder: Path) -> Iterator[str]:
    return (path.name for path in folder.iterdir() if FILE_NAME.match(path.name))


def _frame_shape(path: Path) -> tuple[int, int, int]:
    try:
        record = next(_records(path), b"")
        feature = decode_example(record).get("observations")
        frames = None if feature is None else read_feature(feature)
        if not isinstance(frames, list) or not frames:
            raise InputError(
                f"{path} holds no Atari episodes of RL Unplugged ('observations', 'actions', ...): convert other "
                "raw RL Unplugged data with its TFDS builder, or give it by --tfds-name"
            )
        height, width, channels = read_header(frames[0])
    except (FormatError, EpisodeError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is no GZIP TFRecord of RL Unplugged ({error})") from error
    return height, width, channels


def _records(path: Path) -> Iterator[bytes]:
    """The records of a GZIP TFRecord file, checked by their checksums.

    Raises:
        FormatError: a record does not match its checksum, or is larger than `MAX_EPISODE_BYTES`.
        OSError, EOFError, zlib.error: as gzip.
    """
    with open_input(path) as packed, gzip.open(packed, "rb") as file:
        while header := file.read(HEADER_BYTES):
            length = int(_LENGTH.unpack_from(header)[0])
            if len(header) < HEADER_BYTES or _CRC.unpack_from(header, 8)[0] != masked_crc32c(header[:8]):
                raise FormatError("the length of a record does not match its checksum")
            if length > MAX_EPISODE_BYTES:
                raise FormatError(f"a record of {length} bytes, at most {MAX_EPISODE_BYTES} are read")
            data, footer = file.read(length), file.read(FOOTER_BYTES)
            if len(data) < length or len(footer) < FOOTER_BYTES:
                raise FormatError("the last record is cut off")
            if _CRC.unpack(footer)[0] != masked_crc32c(data):
                raise FormatError("a record does not match its checksum")
            yield data


def _item(ordinal: int, record: bytes, leaves: tuple[Leaf, ...]) -> RawItem:
    try:
        return RawItem(ordinal, _decode(record, leaves))
    except EpisodeError as error:
        return RawItem(ordinal, error=error)
    except FormatError as error:
        return RawItem(ordinal, error=EpisodeError(f"the record is not a tf.train.Example: {error}", stage="read"))


def _decode(record: bytes, leaves: tuple[Leaf, ...]) -> RldsEpisode:
    features = decode_example(record)
    found = {
        raw: value for raw in _KEYS.values() if raw in features and (value := read_feature(features[raw])) is not None
    }
    tensors, images, once = {}, {}, {}
    for leaf in leaves:
        stored = replace(leaf, path=_KEYS["steps/discount" if leaf.path == TERMINAL else leaf.path])
        if leaf.kind == Kind.IMAGE:
            images[leaf.path] = read_bytes(stored, found)
        elif leaf.path == TERMINAL:
            tensors[leaf.path] = _terminal(read_array(replace(stored, dtype="float32"), found))
        elif leaf.in_steps:
            tensors[leaf.path] = read_array(stored, found)
        else:
            once[leaf.path] = _only(leaf.path, read_array(stored, found))
    lengths = {path: len(values) for group in (tensors, images) for path, values in group.items()}
    if len(set(lengths.values())) > 1:
        raise EpisodeError(f"features have different numbers of timesteps: {lengths}", stage="read")
    return RldsEpisode(num_timesteps=next(iter(lengths.values()), 0), tensors=tensors, images=images, episode=once)


def _only(path: str, values: NDArray[Any]) -> NDArray[Any]:
    if len(values) != 1:
        raise EpisodeError(f"{path} has {len(values)} values, 1 was expected", stage="read")
    return values[0]  # type: ignore[no-any-return]


def _terminal(discounts: NDArray[Any]) -> NDArray[np.bool_]:
    terminal = np.zeros(len(discounts), bool)
    terminal[-1:] = discounts[-1:] == 0
    return terminal
