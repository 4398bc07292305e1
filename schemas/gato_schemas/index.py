"""The sidecar of one shard: where everything lies in it, and what others need to know without opening it.

    magic (8 bytes) | header length (uint32) | header (JSON) | padding | sections | CRC32C of all before (uint32)

Every section is a little-endian array at a multiple of 64 bytes; the header's table says which. The file is written
after its shard, so it is also the shard's commit marker. It is never authoritative for the data.
"""

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import google_crc32c
import msgspec
import numpy as np
from numpy.typing import NDArray

from gato_schemas.account import Note
from gato_schemas.bounds import Digest, Natural
from gato_schemas.columns import stores_tokens
from gato_schemas.errors import FormatError
from gato_schemas.index_bounds import column_rows, column_sizes, inside
from gato_schemas.index_rows import COLUMNS, FREE, PER_RECORD, count_rows
from gato_schemas.patches import BLOCK_PATCHES
from gato_schemas.regular_file import read_regular
from gato_schemas.sequence import PATCH_BYTES
from gato_schemas.statistics import Counts, FieldStatistics
from gato_schemas.versioned import decode_versioned

INDEX_VERSION = 3
MAGIC = b"GATOIDX\n"
SUFFIX = ".index"

_ADVICE = ": run gato-data verify --repair, it writes the index anew from the shard"
_ALIGNMENT = 64
_PLACE = {name: number for number, name in enumerate(COLUMNS)}
_LENGTH = struct.Struct("<I")


def index_path(shard: Path) -> Path:
    """The index beside a shard."""
    return shard.with_name(shard.name + SUFFIX)


class DeadLetter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One episode that was left out: where it came from, at which stage it failed, and why."""

    source: str
    key: str
    stage: str
    reason: str
    count: Natural = 1

    @property
    def place(self) -> str:
        """Source and key, each name once: an input that is one file is called like its file."""
        folder, _, file = self.source.partition("/")
        names = dict.fromkeys((file if folder == file else self.source, self.key))
        return ", ".join(names)


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The piece of raw input that a shard was made from.

    Attributes:
        file: relative to the input, with "/".
        task: name of the task of its episodes.
        size: bytes of the whole file.
        first: number of the first episode of the range in the file.
        count: episodes of the range; 0 where that is not known.
        input: which of several inputs it is of, by its name in the manifest; empty where there is one.
    """

    file: str
    task: str
    size: Natural
    first: Natural = 0
    count: Natural = 0
    input: str = ""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One array of the index: where it lies in the file."""

    dtype: str
    shape: list[Natural]
    offset: Natural


class IndexHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The JSON header of an index.

    `digest` is the SHA-256 of the shard. `tasks` and `agents` are the manifest's tables, which the numbers in the
    `task` and `agent` sections index; `dead_letters` and `notes` of a part stand in the index of its train split.
    """

    version: int = INDEX_VERSION
    shard: str
    shard_size: Natural
    digest: Digest
    split: str
    part: Part
    fingerprint: str
    token_dtype: Literal["uint16", "int32"]
    patch_encoding: Literal["zlib", "raw"]
    tasks: list[str]
    agents: list[str]
    totals: Counts
    statistics: list[FieldStatistics]
    dead_letters: list[DeadLetter]
    notes: list[Note] = []
    sections: dict[str, Section] = {}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ShardIndex:
    """A shard's header and sections; N records, B blocks.

    Attributes:
        header: everything but the arrays.
        offset, length, crc: (N,), where each record's data lies in the shard, and its masked CRC32C.
        columns, column_bytes: (N, 10), offsets of payloads within the record and their lengths, in the order of
            `COLUMNS`.
        num_tokens .. is_terminal: (N,), of each record; `tokens_by_modality` (N, 5).
        episode_hash: (N,), of the whole episode.
        block_starts, blocks: (N + 1,) and (B, 2), offset and length of every patch payload within its record.
    """

    header: IndexHeader
    offset: NDArray[np.uint64]
    length: NDArray[np.uint32]
    crc: NDArray[np.uint32]
    columns: NDArray[np.uint32]
    column_bytes: NDArray[np.uint32]
    num_tokens: NDArray[np.uint32]
    num_patches: NDArray[np.uint32]
    num_distinct: NDArray[np.uint32]
    num_timesteps: NDArray[np.uint32]
    num_images: NDArray[np.uint32]
    tokens_by_modality: NDArray[np.uint32]
    loss_tokens: NDArray[np.uint32]
    task: NDArray[np.uint32]
    agent: NDArray[np.uint32]
    chunk: NDArray[np.uint32]
    num_chunks: NDArray[np.uint32]
    episode_return: NDArray[np.float32]
    is_terminal: NDArray[np.uint8]
    episode_hash: NDArray[np.uint64]
    block_starts: NDArray[np.uint64]
    blocks: NDArray[np.uint32]

    def __len__(self) -> int:
        """Number of records."""
        return len(self.offset)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All sections by name."""
        return {name: getattr(self, name) for name in (*PER_RECORD, *FREE)}

    def totals(self, where: NDArray[np.bool_] | slice = slice(None)) -> Counts:
        """What is in the records, all or those selected."""
        return count_rows(self.arrays, where)

    def totals_by_task(self) -> Iterator[tuple[str, Counts]]:
        """What is in the records of each task that has some."""
        for number in np.unique(self.task).tolist():
            yield self.header.tasks[number], self.totals(self.task == number)

    def payload(self, record: int, column: str) -> tuple[int, int]:
        """The byte of the shard where a column of a record begins, and its bytes there; it is one of `COLUMNS`."""
        place = _PLACE[column]
        return int(self.offset[record]) + int(self.columns[record, place]), int(self.column_bytes[record, place])

    def column_size(self, record: int, column: str) -> int:
        """Bytes of a column of a record when it is inflated; `column` is one of `COLUMNS`."""
        counts, size = column_rows(column, self.header.token_dtype)
        return int(getattr(self, counts)[record]) * size

    @property
    def tokens_stored(self) -> NDArray[np.bool_]:
        """Of which records the tokens stand uncompressed, behind the `STORED_HEAD` of their payload; (N,)."""
        sizes = column_sizes(self.arrays, "tokens", self.header.token_dtype)
        return np.asarray(stores_tokens(self.num_patches, sizes, self.header.patch_encoding), bool)

    def blocks_of(self, record: int) -> NDArray[np.uint32]:
        """Offset and length (b, 2) of every patch payload of a record, within it."""
        return self.blocks[int(self.block_starts[record]) : int(self.block_starts[record + 1])]

    def pixels(self, record: int, first: int, count: int) -> tuple[int, int]:
        """Byte of the shard and size of what holds distinct patches [first, first + count): blocks, or raw pixels."""
        base, begin = int(self.offset[record]), int(self.block_starts[record])
        if self.header.patch_encoding == "raw":
            return base + int(self.blocks[begin, 0]) + first * PATCH_BYTES, count * PATCH_BYTES
        start = int(self.blocks[begin + first // BLOCK_PATCHES, 0])
        return base + start, int(self.blocks[begin + (first + count - 1) // BLOCK_PATCHES].sum()) - start


def encode_index(header: IndexHeader, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of an index file."""
    layout = {**PER_RECORD, **FREE}
    stored = {name: np.ascontiguousarray(arrays[name], dtype=dtype) for name, (dtype, _) in layout.items()}
    relative, at = {}, 0
    for name, array in stored.items():
        relative[name] = at
        at += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    # offsets are counted from the end of the padded header, so that its own length does not matter to them
    sections = {
        name: Section(np.dtype(layout[name][0]).str, list(array.shape), relative[name])
        for name, array in stored.items()
    }
    text = msgspec.json.encode(msgspec.structs.replace(header, sections=sections), order="sorted")
    head = MAGIC + _LENGTH.pack(len(text)) + text
    pieces = [head.ljust(_padded(len(head)), b"\0")]
    pieces += [array.tobytes().ljust(_padded(array.nbytes), b"\0") for array in stored.values()]
    body = b"".join(pieces)
    return body + _LENGTH.pack(google_crc32c.value(body))


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def read_index(path: Path) -> ShardIndex:
    """Read and check an index file.

    Raises:
        FormatError: the file is no index, of another version, truncated or damaged.
        OSError: the file cannot be read.
    """
    return decode_index(read_regular(path), path.name)


def decode_index(data: bytes, name: str) -> ShardIndex:
    """Parse the bytes of an index file; arrays are read-only views of them. Raises FormatError as `read_index`."""
    if not data.startswith(MAGIC):
        raise FormatError(f"{name} is not a shard index of gato-data")
    if len(data) < len(MAGIC) + 2 * _LENGTH.size or google_crc32c.value(data[:-4]) != _LENGTH.unpack(data[-4:])[0]:
        raise FormatError(f"{name} is truncated or damaged{_ADVICE}")
    start = len(MAGIC) + _LENGTH.size
    length = _LENGTH.unpack_from(data, len(MAGIC))[0]
    header = decode_versioned(
        data[start : start + length],
        IndexHeader,
        INDEX_VERSION,
        name=name,
        noun="index",
        problem="has a malformed header",
        advice=": ingest again from its source",
    )
    base = _padded(start + length)
    arrays = {key: _section(data, base, header, key, name) for key in (*PER_RECORD, *FREE)}
    records = len(arrays["offset"])
    for key in PER_RECORD:
        if len(arrays[key]) != records:
            raise FormatError(f"{name}: section {key} has {len(arrays[key])} rows for {records} records")
    bounds, count = arrays["block_starts"], len(arrays["blocks"])
    if len(bounds) != records + 1 or bounds[0] != 0 or bounds[-1] != count or (bounds[1:] < bounds[:-1]).any():
        raise FormatError(f"{name}: sections block_starts and blocks do not agree")
    for what, table in (("task", header.tasks), ("agent", header.agents)):
        if records and int(arrays[what].max()) >= max(1, len(table)):
            raise FormatError(f"{name}: a record has {what} number {arrays[what].max()} of {len(table)}{_ADVICE}")
    if not inside(arrays, header.shard_size, header.token_dtype, header.patch_encoding):
        raise FormatError(f"{name} points outside its shard of {header.shard_size} bytes{_ADVICE}")
    return ShardIndex(header=header, **arrays)


def _section(data: bytes, base: int, header: IndexHeader, key: str, name: str) -> NDArray[Any]:
    section, (dtype, row) = header.sections.get(key), {**PER_RECORD, **FREE}[key]
    if section is None or section.dtype != np.dtype(dtype).str or tuple(section.shape[1:]) != row or not section.shape:
        raise FormatError(f"{name}: section {key} is missing or of another type")
    count = math.prod(section.shape)
    start = base + section.offset
    if min(section.shape) < 0 or section.offset < 0 or start + count * np.dtype(dtype).itemsize > len(data) - 4:
        raise FormatError(f"{name}: section {key} runs past the end of the file")
    return np.frombuffer(data, dtype, count, start).reshape(section.shape)
