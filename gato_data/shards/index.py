"""The index beside a shard: found, loaded, checked against shard and manifest, or rebuilt where its file is missing."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gato_data.remote.mirror import mirror_of
from gato_data.shards.file import open_shard
from gato_data.shards.rebuild import rebuild_index
from gato_schemas.dataset import Manifest, ShardInfo
from gato_schemas.errors import FormatError
from gato_schemas.index import ShardIndex, decode_index, index_path, read_index
from gato_schemas.regular_file import read_regular
from gato_schemas.tfrecord import FOOTER_BYTES, masked_crc32c

_LOG = logging.getLogger(__name__)
_FOOTERS = 16


@dataclass(frozen=True, slots=True)
class DatasetShard:
    """One shard of one dataset of the mixture."""

    path: Path
    info: ShardInfo
    manifest: Manifest
    split: str

    def load_index(self) -> tuple[ShardIndex, int]:
        """The index and its size in bytes; rebuilt in memory from the shard where the file is missing.

        Raises:
            FormatError: the index is damaged, of another version, or belongs to another shard.
        """
        path = index_path(self.path)
        try:
            data = read_regular(path)
        except FileNotFoundError:
            _LOG.warning("%s is missing: rebuilt from the shard; gato-data verify --repair writes it anew", path)
            index = rebuild_index(self.path, self.manifest, self.split)
            return index, sum(array.nbytes for array in index.arrays.values())
        except OSError as error:
            raise FormatError(f"{path} cannot be read ({error.strerror})") from error
        index = decode_index(data, str(path))
        self._check(index, path)
        return index, len(data)

    def _check(self, index: ShardIndex, path: Path) -> None:
        header = index.header
        for what, found, wanted in (
            ("is of shard", header.shard, self.info.name),
            ("is of fingerprint", header.fingerprint, self.manifest.fingerprint),
            ("is of a shard of size", header.shard_size, self.info.size),
            ("is of a shard with the digest", header.digest, self.info.digest),
        ):
            if found != wanted:
                raise FormatError(f"{path} {what} {found}, its manifest says {wanted}: run gato-data verify --repair")
        if len(index) and index.chunk[0]:
            raise FormatError(f"{path} begins inside an episode: run gato-data verify --repair")


def check_footers(path: Path, index: ShardIndex) -> None:
    """Compare checksums behind records of a shard with those in its index: all where they are few, else some.

    Records at an address are compared when they are fetched.

    Raises:
        FormatError: the shard cannot be read, is damaged, or another one than its index was written for.
    """
    if mirror_of(path.parent) is not None:
        return
    records = np.unique(np.linspace(0, len(index) - 1, min(len(index), _FOOTERS), dtype=np.int64))
    ends = (index.offset + index.length)[records].tolist()
    try:
        file = open_shard(path)
        for record, end, crc in zip(records.tolist(), ends, index.crc[records].tolist(), strict=True):
            if file.read(end, FOOTER_BYTES) != crc.to_bytes(FOOTER_BYTES, "little"):
                raise FormatError(
                    f"shard {path} is damaged, or not the one that its index was written for: record {record} is "
                    "another; gato-data verify says what is whole"
                )
    except OSError as error:
        raise FormatError(f"shard {path} cannot be read ({error.strerror})") from error


def check_fits(path: Path, index: ShardIndex) -> None:
    """Refuse a shard that has not the size that its index says, or other checksums.

    Raises:
        FormatError: it is truncated, longer than it was written, damaged or another one.
    """
    actual, told = path.stat().st_size, index.header.shard_size
    if actual != told:
        what = "is truncated" if actual < told else "is longer than it was written"
        raise FormatError(f"{path.name} {what}: it has {actual} bytes, its index says {told}")
    check_footers(path, index)


def record_data(path: Path, found: ShardIndex, number: int) -> bytes:
    """The bytes of a record that the index has, compared with their checksum.

    Raises:
        FormatError: the shard cannot be read, or is damaged.
    """
    try:
        data = open_shard(path).read(int(found.offset[number]), int(found.length[number]))
    except OSError as error:
        raise FormatError(f"shard {path} cannot be read ({error.strerror})") from error
    if len(data) != int(found.length[number]):
        raise FormatError(f"{path.name} is truncated inside record {number} (byte {found.offset[number]})")
    if masked_crc32c(data) != int(found.crc[number]):
        raise FormatError(f"record {number} of {path.name} does not match its checksum")
    return data


def index_of(path: Path) -> ShardIndex | None:
    """The index beside a shard, None where there is none.

    Raises:
        FormatError: the index is damaged, of another version, or does not agree with itself.
    """
    beside = index_path(path)
    return read_index(beside) if beside.is_file() else None


def readable_indexes(folder: Path, manifest: Manifest) -> Iterator[tuple[str, ShardInfo, ShardIndex | None]]:
    """Split, shard and index of every shard, in order; None for an index that is missing or damaged."""
    for split, info in sorted(manifest.splits.items()):
        for shard in info.shards:
            index = None
            with suppress(FormatError, OSError):
                index = read_index(index_path(folder / shard.name))
            yield split, shard, index
