"""Writing one shard and its index: records in the order given, every offset remembered on the way."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gato_data.chunks import chunk
from gato_data.episode_hash import episode_hash
from gato_schemas import index
from gato_schemas.compression import PatchEncoding
from gato_schemas.record import EncodedRecord, Record, encode_record
from gato_schemas.sequence import Modality
from gato_schemas.statistics import Counts
from gato_schemas.tfrecord import HEADER_BYTES, frame

_PACKED_RECORDS = 4096  # as Python objects a record's row takes ten times the memory
_COUNTS = ("num_tokens", "num_patches", "num_timesteps", "num_images")


class ShardWriter:
    """Appends episodes to an open file and gathers the sections of its index.

    Args:
        file: an empty binary file.
        encoding: of the `patches` column.
        tasks, agents: the manifest's tables; an episode's task and agent must be in them.
    """

    def __init__(self, file: BinaryIO, encoding: PatchEncoding, tasks: Sequence[str], agents: Sequence[str]) -> None:
        self._file = file
        self._encoding = encoding
        self._tasks = {name: number for number, name in enumerate(tasks)}
        self._agents = {name: number for number, name in enumerate(agents)}
        self._rows: list[dict[str, Any]] = []
        self._blocks: list[NDArray[np.uint32]] = []
        self._ranks: list[NDArray[np.uint32]] = []
        self._packed: list[dict[str, NDArray[Any]]] = []
        self._hash = hashlib.sha256()
        self.size = 0
        self.episodes = 0

    def add(self, record: Record) -> None:
        """Append a whole episode or document, cut into chunks where it is long."""
        digest = episode_hash(record.sequence)
        pieces = list(chunk(record.sequence))
        for number, piece in enumerate(pieces):
            part = Record(
                episode_id=record.episode_id,
                source_episode_id=record.source_episode_id,
                task=record.task,
                agent=record.agent,
                chunk=number,
                num_chunks=len(pieces),
                episode_return=record.episode_return,
                is_terminal=record.is_terminal,
                sequence=piece,
            )
            self._append(part, encode_record(part, self._encoding), digest)
        self.episodes += 1

    def _append(self, record: Record, encoded: EncodedRecord, digest: int) -> None:
        header, footer = frame(encoded.data)
        for piece in (header, encoded.data, footer):
            self._file.write(piece)
            self._hash.update(piece)
        sequence = record.sequence
        by_modality = np.bincount(sequence.modality, minlength=len(Modality))
        self._rows.append(
            {
                "offset": self.size + HEADER_BYTES,
                "length": len(encoded.data),
                "crc": int.from_bytes(footer, "little"),
                "columns": [encoded.columns[name] for name in index.COLUMNS],
                "tokens_by_modality": by_modality,
                "loss_tokens": int(sequence.loss_mask.sum()),
                "task": self._tasks[record.task],
                "agent": self._agents[record.agent],
                "chunk": record.chunk,
                "num_chunks": record.num_chunks,
                "episode_return": record.episode_return,
                "is_terminal": record.is_terminal,
                "episode_hash": digest,
                **{name: getattr(sequence, name) for name in _COUNTS},
            }
        )
        self._blocks.append(np.array(encoded.blocks, np.uint32).reshape(-1, 2))
        self._ranks.append(patch_ranks(sequence.modality))
        self.size += len(header) + len(encoded.data) + len(footer)
        if len(self._rows) >= _PACKED_RECORDS:
            self._packed.append(index.sections(self._rows, self._blocks, self._ranks))
            self._rows, self._blocks, self._ranks = [], [], []

    @property
    def digest(self) -> str:
        """SHA-256 of the file so far, as `sha256sum` prints it."""
        return self._hash.hexdigest()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The sections of the index so far."""
        return index.join_sections([*self._packed, index.sections(self._rows, self._blocks, self._ranks)])

    def totals(self) -> Counts:
        """What has been written so far."""
        return count_records(self.arrays())


def patch_ranks(modality: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Number of patches before every 256th token."""
    is_patch = modality == Modality.PATCH
    if not is_patch.any():
        return np.zeros(-(-max(len(modality), 1) // index.RANK_TOKENS), np.uint32)
    before = np.concatenate([[0], np.cumsum(is_patch)])
    return before[: max(len(modality), 1) : index.RANK_TOKENS].astype(np.uint32)


def count_records(arrays: Any, where: NDArray[np.bool_] | slice = slice(None)) -> Counts:
    """Totals of the records of an index, all or those selected."""

    def total(name: str) -> int:
        return int(arrays[name][where].sum(dtype=np.int64))

    return Counts(
        episodes=int(np.count_nonzero(arrays["chunk"][where] == 0)),
        records=len(arrays["chunk"][where]),
        timesteps=total("num_timesteps"),
        images=total("num_images"),
        patches=total("num_patches"),
        tokens=total("num_tokens"),
        loss_tokens=total("loss_tokens"),
        tokens_by_modality=tuple(int(n) for n in arrays["tokens_by_modality"][where].sum(axis=0, dtype=np.int64)),
    )


def write_durably(path: Path, data: bytes) -> None:
    """Write a whole file under a temporary name, flush it to the disk, then rename it."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    with temporary.open("xb") as file:  # never through a link that lies there
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
