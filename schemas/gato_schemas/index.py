"""The sidecar of one shard: where everything lies in it, and what others need to know without opening it.

    magic (8 bytes) | header length (uint32) | header (JSON) | padding | sections | CRC32C of all before (uint32)

Every section is a little-endian array at a multiple of 64 bytes; the header's table says which. The file is written
after its shard, so it is also the shard's commit marker. It is never authoritative for the data.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import google_crc32c
import msgspec
import numpy as np
from numpy.typing import DTypeLike, NDArray

from gato_schemas.account import Note
from gato_schemas.bounds import Digest, Natural
from gato_schemas.errors import FormatError
from gato_schemas.record import ARRAY_COLUMNS, BLOCK_PATCHES
from gato_schemas.sequence import Modality
from gato_schemas.statistics import Counts, FieldStatistics
from gato_schemas.tfrecord import HEADER_BYTES
from gato_schemas.versioned import decode_versioned

INDEX_VERSION = 2
MAGIC = b"GATOIDX\n"
SUFFIX = ".index"
RANK_TOKENS = 256
"""The index holds the number of patches before every 256th token of a record."""
COLUMNS = ("tokens", *ARRAY_COLUMNS)
"""Order of the columns in the `columns` section."""

_ADVICE = ": run gato-data verify --repair, it writes the index anew from the shard"
_ALIGNMENT = 64
_LENGTH = struct.Struct("<I")
_PER_RECORD: Mapping[str, tuple[DTypeLike, tuple[int, ...]]] = {
    "offset": ("<u8", ()),
    "length": ("<u4", ()),
    "crc": ("<u4", ()),
    "columns": ("<u4", (len(COLUMNS),)),
    "num_tokens": ("<u4", ()),
    "num_patches": ("<u4", ()),
    "num_timesteps": ("<u4", ()),
    "num_images": ("<u4", ()),
    "tokens_by_modality": ("<u4", (len(Modality),)),
    "loss_tokens": ("<u4", ()),
    "task": ("<u4", ()),
    "agent": ("<u4", ()),
    "chunk": ("<u4", ()),
    "num_chunks": ("<u4", ()),
    "episode_return": ("<f4", ()),
    "is_terminal": ("u1", ()),
    "episode_hash": ("<u8", ()),
}
_FREE: Mapping[str, tuple[DTypeLike, tuple[int, ...]]] = {
    "block_starts": ("<u8", ()),
    "blocks": ("<u4", (2,)),
    "rank_starts": ("<u8", ()),
    "ranks": ("<u4", ()),
}
_RAGGED = (("block_starts", "blocks"), ("rank_starts", "ranks"))


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
    """The piece of raw input that a shard was made from; `file` is relative to `input`, a name in the manifest."""

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


@dataclass(frozen=True, slots=True, eq=False)
class ShardIndex:
    """A shard's header and sections; N records, B blocks, R ranks.

    Attributes:
        header: everything but the arrays.
        arrays: `offset` (N,) of each record's data in the shard; `length` (N,), `crc` (N,) its masked CRC32C;
            `columns` (N, 8) payload offsets within the record in the order of `COLUMNS`; counts (N,);
            `tokens_by_modality` (N, 5); `task`, `agent`, `chunk`, `num_chunks`, `episode_return`,
            `is_terminal`, `episode_hash` (N,); `block_starts` (N + 1,) and `blocks` (B, 2) offset and length
            of every patch payload within its record; `rank_starts` (N + 1,) and `ranks` (R,) the number of
            patches before every 256th token of a record.
    """

    header: IndexHeader
    arrays: Mapping[str, NDArray[Any]]

    def __getattr__(self, name: str) -> NDArray[Any]:
        """A section by its name."""
        try:
            return self.arrays[name]
        except KeyError:
            raise AttributeError(name) from None

    def __len__(self) -> int:
        """Number of records."""
        return len(self.arrays["offset"])


def sections(
    rows: Sequence[Mapping[str, Any]], blocks: Sequence[NDArray[Any]], ranks: Sequence[NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """The arrays of an index from one row, one (b, 2) array of blocks and one array of ranks per record."""
    arrays: dict[str, NDArray[Any]] = {
        name: np.array([row[name] for row in rows], dtype).reshape(len(rows), *shape)
        for name, (dtype, shape) in _PER_RECORD.items()
    }
    for starts, name, values in (("block_starts", "blocks", blocks), ("rank_starts", "ranks", ranks)):
        dtype, shape = _FREE[name]
        arrays[starts] = np.cumsum([0, *(len(value) for value in values)], dtype="<u8")
        arrays[name] = np.concatenate([np.zeros((0, *shape), dtype), *values]).astype(dtype)
    return arrays


def join_sections(parts: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The arrays of an index whose records are those of the parts, one part after the other; at least one."""
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in (*_PER_RECORD, *_FREE)}
    for starts, values in _RAGGED:
        before = np.cumsum([0, *(len(part[values]) for part in parts)], dtype="<u8")
        shifted = [part[starts][:-1] + shift for part, shift in zip(parts, before[:-1], strict=True)]
        arrays[starts] = np.concatenate([*shifted, before[-1:]])
    return arrays


def encode_index(header: IndexHeader, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of an index file."""
    layout = {**_PER_RECORD, **_FREE}
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
    return decode_index(path.read_bytes(), path.name)


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
        advice=_ADVICE,
    )
    base = _padded(start + length)
    arrays = {key: _section(data, base, header, key, name) for key in (*_PER_RECORD, *_FREE)}
    records = len(arrays["offset"])
    for key in _PER_RECORD:
        if len(arrays[key]) != records:
            raise FormatError(f"{name}: section {key} has {len(arrays[key])} rows for {records} records")
    for starts, values in _RAGGED:
        bounds, count = arrays[starts], len(arrays[values])
        if len(bounds) != records + 1 or bounds[0] != 0 or bounds[-1] != count or (bounds[1:] < bounds[:-1]).any():
            raise FormatError(f"{name}: sections {starts} and {values} do not agree")
    for what, table in (("task", header.tasks), ("agent", header.agents)):
        if records and int(arrays[what].max()) >= max(1, len(table)):
            raise FormatError(f"{name}: a record has {what} number {arrays[what].max()} of {len(table)}{_ADVICE}")
    if not _inside(header, arrays):
        raise FormatError(f"{name} points outside its shard of {header.shard_size} bytes{_ADVICE}")
    return ShardIndex(header, arrays)


def _inside(header: IndexHeader, arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Whether everything that an index points at lies in its shard, so that reads stay bounded."""
    tokens, length, patches = (arrays[name].astype(np.int64) for name in ("num_tokens", "length", "num_patches"))
    blocks = arrays["blocks"].astype(np.int64).sum(axis=1)
    block_starts, rank_starts = (arrays[starts].astype(np.int64) for starts, _ in _RAGGED)
    of_record, ranks = block_starts[1:] - block_starts[:-1], rank_starts[1:] - rank_starts[:-1]
    wanted = 1 if header.patch_encoding == "raw" else -(-patches // BLOCK_PATCHES)
    item = np.dtype(header.token_dtype).itemsize
    columns = arrays["columns"].astype(np.int64)
    inside = (
        arrays["offset"] >= HEADER_BYTES,
        arrays["offset"].astype(np.float64) + length <= header.shard_size,
        columns[:, 0] + tokens * item <= length,
        columns.max(axis=1, initial=0) <= length,
        of_record == wanted,
        blocks <= np.repeat(length, of_record),
        ranks == -(-tokens.clip(1) // RANK_TOKENS),
        patches <= tokens,
        arrays["num_timesteps"] <= tokens,
    )
    return all(bool(np.all(condition)) for condition in inside)


def _section(data: bytes, base: int, header: IndexHeader, key: str, name: str) -> NDArray[Any]:
    section, (dtype, row) = header.sections.get(key), {**_PER_RECORD, **_FREE}[key]
    if section is None or section.dtype != np.dtype(dtype).str or tuple(section.shape[1:]) != row or not section.shape:
        raise FormatError(f"{name}: section {key} is missing or of another type")
    count = math.prod(section.shape)
    start = base + section.offset
    if min(section.shape) < 0 or section.offset < 0 or start + count * np.dtype(dtype).itemsize > len(data) - 4:
        raise FormatError(f"{name}: section {key} runs past the end of the file")
    return np.frombuffer(data, dtype, count, start).reshape(section.shape)
