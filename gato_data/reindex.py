"""An index rebuilt from its shard: for a sidecar that was lost, and to check one against the data."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.episode_hash import EpisodeHasher
from gato_data.shard_writer import count_records, patch_ranks
from gato_schemas import index, wire
from gato_schemas.dataset import Manifest
from gato_schemas.errors import FormatError
from gato_schemas.record import Record, decode_record
from gato_schemas.sequence import Modality
from gato_schemas.tfrecord import masked_crc32c, read_records


def rebuild_index(path: Path, manifest: Manifest, split: str) -> index.ShardIndex:
    """Read a whole shard and find every offset anew; its statistics and dead letters cannot be found again.

    Raises:
        FormatError: the shard is damaged, or holds a task or agent that the manifest does not know.
    """
    encoding = manifest.patch_encoding.name
    tasks, agents = list(manifest.tasks), list(manifest.agents)
    rows: list[dict[str, Any]] = []
    blocks: list[NDArray[np.uint32]] = []
    ranks: list[NDArray[np.uint32]] = []
    hasher, first = EpisodeHasher(), 0
    try:
        for raw in read_records(path):
            if raw.error:
                raise FormatError(raw.error)
            record = decode_record(raw.data, encoding)
            if record.chunk == 0:
                _note_hash(rows, first, hasher)
                hasher, first = EpisodeHasher(), len(rows)
            hasher.add_tokens(record.sequence.tokens)
            hasher.add_pixels(record.sequence.patches)
            columns, spans = payload_spans(raw.data, wire.decode_example(raw.data))
            row = index_row(record, columns, tasks, agents)
            rows.append({"offset": raw.offset, "length": len(raw.data), "crc": masked_crc32c(raw.data), **row})
            blocks.append(spans)
            ranks.append(patch_ranks(record.sequence.modality))
    except OSError as error:
        raise FormatError(f"shard {path} cannot be read ({error.strerror})") from error
    _note_hash(rows, first, hasher)
    arrays = index.sections(rows, blocks, ranks)
    header = index.IndexHeader(
        shard=path.name,
        shard_size=path.stat().st_size,
        digest=digest_of(path),
        split=split,
        part=index.Part("", "", 0),
        fingerprint=manifest.fingerprint,
        token_dtype=manifest.vocabulary.token_dtype,
        patch_encoding=encoding,
        tasks=tasks,
        agents=agents,
        totals=count_records(arrays),
        statistics=[],
        dead_letters=[],
    )
    return index.ShardIndex(header, arrays)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, as `sha256sum` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _note_hash(rows: list[dict[str, Any]], first: int, hasher: EpisodeHasher) -> None:
    digest = hasher.result()
    for row in rows[first:]:
        row["episode_hash"] = digest


def payload_spans(data: bytes, features: wire.Features) -> tuple[dict[str, int], NDArray[np.uint32]]:
    """Where a record's payloads lie in it: offset of each array column; offset and length (B, 2) of each patch block.

    Args:
        data: the record.
        features: views of `data`, as `wire.decode_example` gives them.

    Raises:
        FormatError: it is not a record.
    """
    base = np.asarray(memoryview(data)).ctypes.data

    def spans(name: str) -> list[tuple[int, int]]:
        values = wire.get_bytes(features, name)
        return [(np.asarray(value).ctypes.data - base, len(value)) for value in values]

    blocks = np.array(spans("patches"), np.uint32).reshape(-1, 2)
    return {name: spans(name)[0][0] for name in index.COLUMNS}, blocks


def index_row(record: Record, columns: dict[str, int], tasks: list[str], agents: list[str]) -> dict[str, Any]:
    """A record's row in the index, without its place, its checksum and the hash of its episode.

    Raises:
        FormatError: its task or agent is not in the tables.
    """
    if record.task not in tasks or record.agent not in agents:
        raise FormatError(f"{record.episode_id}: task {record.task!r} or agent {record.agent!r} is not in the manifest")
    sequence = record.sequence
    return {
        "columns": [columns[name] for name in index.COLUMNS],
        "num_tokens": sequence.num_tokens,
        "num_patches": sequence.num_patches,
        "num_timesteps": sequence.num_timesteps,
        "num_images": sequence.num_images,
        "tokens_by_modality": np.bincount(sequence.modality, minlength=len(Modality)),
        "loss_tokens": int(sequence.loss_mask.sum(dtype=np.int64)),
        "task": tasks.index(record.task),
        "agent": agents.index(record.agent),
        "chunk": record.chunk,
        "num_chunks": record.num_chunks,
        "episode_return": record.episode_return,
        "is_terminal": record.is_terminal,
    }
