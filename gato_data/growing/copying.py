"""Copies of shards: whole, or record by record, checked on the way; nothing but an episode's id is ever changed."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from gato_data.errors import FormatError
from gato_data.files import write_durably
from gato_data.shards.file import ShardFile
from gato_data.shards.index import DatasetShard, record_data
from gato_schemas import wire
from gato_schemas.index import ShardIndex, encode_index, index_path
from gato_schemas.index_rows import PER_RECORD, count_rows
from gato_schemas.tfrecord import FOOTER_BYTES, HEADER_BYTES, frame, masked_crc32c

_PIECE = 1 << 22
_MAX_PART = 10**5
"""Numbers of parts below this have five digits in the ids of episodes."""


@dataclass(frozen=True)
class Tables:
    """What the records of a new dataset are numbered by.

    Attributes:
        fingerprint: of the dataset.
        tasks, agents: its tables.
    """

    fingerprint: str
    tasks: Sequence[str]
    agents: Sequence[str]


@dataclass(frozen=True)
class Taken:
    """What is taken of a shard.

    Attributes:
        shard: where it lies.
        kept: bool (R,), which of its records.
        further: added to the part's number in the ids of episodes, so that they stay unique.
    """

    shard: DatasetShard
    kept: NDArray[np.bool_]
    further: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether the new shard has the bytes of the old one."""
        return not self.further and bool(self.kept.all())


def copy_shard(taken: Taken, path: Path, tables: Tables) -> ShardIndex:
    """Write a shard of what is taken of another one, then its index; returns that.

    Raises:
        FormatError: the old shard or its index is damaged, or is not the one of its manifest.
        OSError: the new shard cannot be written.
    """
    index, _ = taken.shard.load_index()
    arrays, digest = dict(index.arrays), hashlib.sha256()
    with path.open("wb") as file:
        if taken.is_whole:
            _copy_bytes(taken.shard, file, digest)
        else:
            arrays = _rows(arrays, taken.kept)
            arrays["crc"] = _copy_records(taken, index, file, digest)
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    numbered = _renumbered(arrays, index, tables)
    header = msgspec.structs.replace(
        index.header,
        shard=path.name,
        shard_size=size,
        digest=digest.hexdigest(),
        fingerprint=tables.fingerprint,
        tasks=list(tables.tasks),
        agents=list(tables.agents),
        totals=count_rows(numbered),
        statistics=index.header.statistics if taken.kept.any() or not len(index) else [],
    )
    write_durably(index_path(path), encode_index(header, numbered))
    return ShardIndex(header=header, **numbered)


def renamed_index(index: ShardIndex, name: str, tables: Tables) -> bytes:
    """The index file of a shard whose bytes stay, under another name and in another dataset."""
    header = msgspec.structs.replace(
        index.header,
        shard=name,
        fingerprint=tables.fingerprint,
        tasks=list(tables.tasks),
        agents=list(tables.agents),
    )
    return encode_index(header, _renumbered(index.arrays, index, tables))


def part_number(shard: DatasetShard, index: ShardIndex) -> int:
    """The number of the part in the ids of a shard's episodes; -1 where it has none.

    Raises:
        FormatError: the first record is damaged, or has another kind of id.
    """
    if not len(index):
        return -1
    name = _id_of(record_data(shard.path, index, 0))[0]
    task, _, number = name.rpartition(b"/")[0].rpartition(b"/")
    if not task or not number.isdigit():
        raise FormatError(f"{shard.path} has an episode called {name.decode(errors='replace')!r}: gato-data verify it")
    return int(number)


def _copy_bytes(shard: DatasetShard, file: BinaryIO, digest: Any) -> None:
    try:
        source = ShardFile(shard.path)
        for start in range(0, source.size, _PIECE):
            piece = source.read(start, _PIECE)
            digest.update(piece)
            file.write(piece)
    except OSError as error:
        raise FormatError(f"shard {shard.path} cannot be read ({error.strerror})") from error
    if digest.hexdigest() != shard.info.digest:
        raise FormatError(
            f"{shard.path} is not the shard that its manifest was written for: gato-data verify says more"
        )


def _copy_records(taken: Taken, index: ShardIndex, file: BinaryIO, digest: Any) -> NDArray[np.uint32]:
    """Write the records that are taken; returns their masked checksums, uint32 (K,)."""
    checksums = []
    for number in np.flatnonzero(taken.kept).tolist():
        data = record_data(taken.shard.path, index, number)
        if taken.further:
            data = _with_part(data, taken.further, taken.shard.path)
        checksums.append(masked_crc32c(data))
        header, footer = frame(data, checksums[-1])
        for piece in (header, data, footer):
            digest.update(piece)
            file.write(piece)
    return np.array(checksums, np.uint32)


def _id_of(data: bytes) -> tuple[bytes, int]:
    """The id of a record's episode, and the byte where it begins."""
    view = wire.get_bytes(wire.decode_example(data), "episode_id")[0]
    return bytes(view), np.asarray(view).ctypes.data - np.asarray(memoryview(data)).ctypes.data


def _with_part(data: bytes, further: int, path: Path) -> bytes:
    """The record with another part's number in its episode's id; it has as many digits, so nothing else moves."""
    name, at = _id_of(data)
    rest, _, ordinal = name.rpartition(b"/")
    task, _, digits = rest.rpartition(b"/")
    number = int(digits) + further
    if len(digits) != 5 or number >= _MAX_PART:
        raise FormatError(f"{path}: there is no room for part {number} in the ids of its episodes, 99,999 is the last")
    new = b"%s/%05d/%s" % (task, number, ordinal)
    return data[:at] + new + data[at + len(new) :]


def _rows(arrays: Mapping[str, NDArray[Any]], kept: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """The sections of an index for some of its records, which lie one behind the other."""
    blocks = np.diff(arrays["block_starts"])
    found = {name: arrays[name][kept] for name in PER_RECORD}
    sizes = found["length"].astype(np.uint64) + np.uint64(HEADER_BYTES + FOOTER_BYTES)
    found["offset"] = np.cumsum(sizes) - sizes + np.uint64(HEADER_BYTES)
    found["blocks"] = arrays["blocks"][np.repeat(kept, blocks.astype(np.int64))]
    found["block_starts"] = np.concatenate([np.zeros(1, np.uint64), np.cumsum(blocks[kept], dtype=np.uint64)])
    return found


def _renumbered(arrays: Mapping[str, NDArray[Any]], index: ShardIndex, tables: Tables) -> dict[str, NDArray[Any]]:
    """The sections with the numbers of tasks and agents in other tables."""
    found = dict(arrays)
    for name, old, new in (("task", index.header.tasks, tables.tasks), ("agent", index.header.agents, tables.agents)):
        places = {value: number for number, value in enumerate(new)}
        numbers = np.array([places.get(value, 0) for value in old] or [0], np.uint32)
        found[name] = numbers[arrays[name]]
    return found
