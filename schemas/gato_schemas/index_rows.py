"""The rows of an index, one a record: made from records, gathered into arrays, and summed up."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gato_schemas import wire
from gato_schemas.columns import ARRAY_COLUMNS
from gato_schemas.errors import FormatError
from gato_schemas.record import EncodedRecord, Record, record_counts
from gato_schemas.sequence import Modality
from gato_schemas.statistics import Counts

COLUMNS = ("tokens", *ARRAY_COLUMNS)
"""Order of the columns in the `columns` and `column_bytes` sections."""

PER_RECORD: Mapping[str, tuple[DTypeLike, tuple[int, ...]]] = {
    "offset": ("<u8", ()),
    "length": ("<u4", ()),
    "crc": ("<u4", ()),
    "columns": ("<u4", (len(COLUMNS),)),
    "column_bytes": ("<u4", (len(COLUMNS),)),
    "num_tokens": ("<u4", ()),
    "num_patches": ("<u4", ()),
    "num_distinct": ("<u4", ()),
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
FREE: Mapping[str, tuple[DTypeLike, tuple[int, ...]]] = {
    "block_starts": ("<u8", ()),
    "blocks": ("<u4", (2,)),
}

_PACKED_ROWS = 4096  # as Python objects a row takes ten times the memory


class IndexRows:
    """Gathers the arrays of an index, record by record.

    Args:
        tasks, agents: the tables whose numbers stand in the rows.
    """

    def __init__(self, tasks: Sequence[str], agents: Sequence[str]) -> None:
        self.tasks = {name: number for number, name in enumerate(tasks)}
        self.agents = {name: number for number, name in enumerate(agents)}
        self._rows: list[dict[str, Any]] = []
        self._blocks: list[NDArray[np.uint32]] = []
        self._packed: list[dict[str, NDArray[Any]]] = []

    def add(self, record: Record, encoded: EncodedRecord, *, offset: int, crc: int, episode_hash: int = 0) -> None:
        """Append the row of a record whose data lies at `offset` of the shard, with its masked CRC32C.

        Raises:
            FormatError: its task or agent is not in the tables.
        """
        row = index_row(record, encoded, self.tasks, self.agents)
        self._rows.append({**row, "offset": offset, "crc": crc, "episode_hash": episode_hash})
        self._blocks.append(np.array(encoded.blocks, np.uint32).reshape(-1, 2))
        if len(self._rows) >= _PACKED_ROWS:
            self._packed.append(sections(self._rows, self._blocks))
            self._rows, self._blocks = [], []

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The sections of the index so far."""
        return join_sections([*self._packed, sections(self._rows, self._blocks)])


def index_row(
    record: Record, encoded: EncodedRecord, tasks: Mapping[str, int], agents: Mapping[str, int]
) -> dict[str, Any]:
    """A record's row, without its place, its checksum and the hash of its episode.

    Raises:
        FormatError: its task or agent is not in the tables.
    """
    if record.task not in tasks or record.agent not in agents:
        raise FormatError(f"{record.episode_id}: task {record.task!r} or agent {record.agent!r} is not in the manifest")
    counts = Counts.of(record, encoded.num_distinct)
    return {
        "columns": [encoded.columns[name][0] for name in COLUMNS],
        "column_bytes": [encoded.columns[name][1] for name in COLUMNS],
        "num_tokens": counts.tokens,
        "num_patches": counts.patches,
        "num_distinct": counts.distinct_patches,
        "num_timesteps": counts.timesteps,
        "num_images": counts.images,
        "tokens_by_modality": counts.tokens_by_modality,
        "loss_tokens": counts.loss_tokens,
        "task": tasks[record.task],
        "agent": agents[record.agent],
        "chunk": record.chunk,
        "num_chunks": record.num_chunks,
        "episode_return": record.episode_return,
        "is_terminal": record.is_terminal,
        "length": len(encoded.data),
    }


def find_payloads(data: bytes, features: wire.Features) -> EncodedRecord:
    """Where the payloads of a record lie in it.

    Args:
        data: the record.
        features: views of `data`, as `wire.decode_example` gives them.

    Raises:
        FormatError: it is not a record.
    """
    base = np.asarray(memoryview(data)).ctypes.data

    def spans(name: str) -> list[tuple[int, int]]:
        return [(np.asarray(value).ctypes.data - base, len(value)) for value in wire.get_bytes(features, name)]

    distinct = record_counts(features)["distinct_patches"]
    return EncodedRecord(data, distinct, {name: spans(name)[0] for name in COLUMNS}, spans("patches"))


def count_rows(arrays: Mapping[str, NDArray[Any]], where: NDArray[np.bool_] | slice = slice(None)) -> Counts:
    """What is in the records of an index's arrays, all or those selected."""

    def total(name: str) -> int:
        return int(arrays[name][where].sum(dtype=np.int64))

    chunk = arrays["chunk"][where]
    return Counts(
        episodes=int(np.count_nonzero(chunk == 0)),
        records=len(chunk),
        timesteps=total("num_timesteps"),
        images=total("num_images"),
        patches=total("num_patches"),
        distinct_patches=total("num_distinct"),
        tokens=total("num_tokens"),
        loss_tokens=total("loss_tokens"),
        tokens_by_modality=tuple(arrays["tokens_by_modality"][where].sum(axis=0, dtype=np.int64).tolist()),
    )


def sections(rows: Sequence[Mapping[str, Any]], blocks: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays of an index from one row and one (b, 2) array of blocks per record."""
    arrays: dict[str, NDArray[Any]] = {
        name: np.array([row[name] for row in rows], dtype).reshape(len(rows), *shape)
        for name, (dtype, shape) in PER_RECORD.items()
    }
    dtype, shape = FREE["blocks"]
    arrays["block_starts"] = np.cumsum([0, *map(len, blocks)], dtype="<u8")
    arrays["blocks"] = np.concatenate([np.zeros((0, *shape), dtype), *blocks]).astype(dtype)
    return arrays


def join_sections(parts: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The arrays of an index whose records are those of the parts, one part after the other; at least one."""
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in (*PER_RECORD, *FREE)}
    before = np.cumsum([0, *(len(part["blocks"]) for part in parts)], dtype="<u8")
    shifted = [part["block_starts"][:-1] + shift for part, shift in zip(parts, before[:-1], strict=True)]
    arrays["block_starts"] = np.concatenate([*shifted, before[-1:]])
    return arrays
