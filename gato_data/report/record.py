"""One record of a shard, opened to be looked at: columns checked, patches inflated only where they are shown."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import FormatError, InputError
from gato_data.shards.index import record_data
from gato_schemas import wire
from gato_schemas.columns import decode_column
from gato_schemas.index import ShardIndex
from gato_schemas.patches import gather_patches
from gato_schemas.record import Record, record_counts, record_of
from gato_schemas.sequence import PATCH_BYTES
from gato_schemas.statistics import Counts
from gato_schemas.tfrecord import read_records


@dataclass(frozen=True, slots=True)
class OpenRecord:
    """A record whose `sequence.patches` are left unread, and what holds them.

    Attributes:
        shard: name of its file.
        number: of the record in its shard.
        record: everything but the pixels.
        distinct: how many distinct patches it has.
        index: uint16 (P,), which of them every patch is.
        payloads: of the `patches` column: zlib blocks, or one raw payload.
        encoding: "zlib" or "raw".
        first_timestep: the episode's number of this chunk's first timestep; None where it is not known.
    """

    shard: str
    number: int
    record: Record
    distinct: int
    index: NDArray[np.uint16]
    payloads: list[memoryview]
    encoding: str
    first_timestep: int | None

    def patches(self, first: int, count: int) -> NDArray[np.uint8]:
        """Patches [first, first + count), uint8 (count, 16, 16, 3); only the blocks that hold them are inflated.

        Raises:
            FormatError: a block is missing or damaged, or there is no such distinct patch; the message names shard and
                record.
        """
        return self.distinct_patches(self.index[first : first + count])

    def distinct_patches(self, numbers: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The distinct patches of numbers (n,), uint8 (n, 16, 16, 3); only the blocks that hold them are inflated.

        Raises:
            FormatError: as of `patches`.
        """
        try:
            return gather_patches(self.payloads, numbers, self.distinct, self.encoding)
        except FormatError as error:
            raise FormatError(f"record {self.number} of {self.shard}: {error}") from error


def open_record(path: Path, found: ShardIndex | None, number: int) -> OpenRecord:
    """Read one record: through the index, or by walking the shard up to it.

    Raises:
        InputError: the shard has no such record.
        FormatError: the record is damaged, or not one of gato-data.
    """
    if found is None:
        data, first = _walk(path, number), None
    else:
        if not 0 <= number < len(found):
            raise _out_of_range(path, number, len(found))
        data, first = record_data(path, found, number), _timesteps_before(found, number)
    try:
        opened = opened_record(data, path.name, number, first)
    except FormatError as error:
        raise _not_ours(number, path.name, error) from error
    if found is not None:
        _check_fits(opened.record, path, found, number)
    return opened


def opened_record(data: bytes, shard: str, number: int, first: int | None = None) -> OpenRecord:
    """The record that these bytes are; `first` is the timestep of its episode that it begins with.

    Raises:
        FormatError: they are no record of gato-data, or damaged.
    """
    features = wire.decode_example(data)
    record, distinct = record_of(features, "zlib", with_patches=False), record_counts(features)["distinct_patches"]
    payloads, (stored, *_) = wire.get_bytes(features, "patches"), wire.get_bytes(features, "patch_index")
    patches = record.sequence.num_patches
    is_raw = [*map(len, payloads), len(stored)] == [distinct * PATCH_BYTES, patches * 2]
    encoding = "raw" if is_raw else "zlib"  # a shard alone does not say it
    index = decode_column("patch_index", stored, patches, encoding)
    return OpenRecord(shard, number, record, distinct, index, payloads, encoding, 0 if record.chunk == 0 else first)


def _check_fits(record: Record, path: Path, found: ShardIndex, number: int) -> None:
    for name in ("num_tokens", "num_patches", "num_timesteps", "num_images"):
        has, told = getattr(record.sequence, name), int(getattr(found, name)[number])
        if has != told:
            raise FormatError(
                f"record {number} of {path.name} has {has} {name.removeprefix('num_')}, its index says {told}: run "
                "gato-data verify --repair, it writes the index anew from the shard"
            )


def _walk(path: Path, number: int) -> bytes:
    seen = 0
    for raw in read_records(path, first=number):
        if raw.error:
            raise FormatError(raw.error)
        return raw.data
    for raw in read_records(path):
        seen = raw.ordinal + 1
    raise _out_of_range(path, number, seen)


def _out_of_range(path: Path, number: int, records: int) -> InputError:
    wanted = f"a number from 0 to {records - 1} is wanted" if records else "it holds none"
    return InputError(f"{path.name} has no record {number}: {wanted}")


def _timesteps_before(found: ShardIndex, number: int) -> int | None:
    """Timesteps of the chunks before this one; they stand right before it in the shard."""
    first = number - int(found.chunk[number])
    return int(found.num_timesteps[first:number].sum(dtype=np.int64)) if first >= 0 else None


def counted_record(data: bytes, shard: str, number: int) -> tuple[Record, Counts]:
    """A record without its patches, checked, and what it holds.

    Raises:
        FormatError: the bytes are not a record of gato-data; the message names the shard and the record.
    """
    try:
        features = wire.decode_example(data)
        record = record_of(features, "zlib", with_patches=False)
        return record, Counts.of(record, record_counts(features)["distinct_patches"])
    except FormatError as error:
        raise _not_ours(number, shard, error) from error


def _not_ours(number: int, shard: str, error: FormatError) -> FormatError:
    return FormatError(f"record {number} of {shard} is not a record of gato-data: {error}")
