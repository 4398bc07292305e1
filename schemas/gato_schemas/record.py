"""Record <-> the bytes of one tf.train.Example, deterministic to the byte and without protocol buffers.

Features stand in sorted order; an array is one bytes value: its little-endian bytes, or a zlib stream of them. Of the
patches each distinct one is kept once. `EncodedRecord` says where each of them lies, for the index.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from gato_schemas import wire
from gato_schemas.columns import (
    ARRAY_COLUMNS,
    PATCH_COLUMNS,
    RECORD_COUNTS,
    ROWS,
    SEQUENCE_COLUMNS,
    decode_column,
    decode_tokens,
    encode_column,
    encode_tokens,
)
from gato_schemas.compression import PatchEncoding
from gato_schemas.errors import FormatError
from gato_schemas.patches import MOST_DISTINCT, DistinctPatches, decode_patches, encode_patches, gather_patches
from gato_schemas.sequence import PATCH_SHAPE, TokenSequence, check

HEAD_BYTES = 4096
"""An episode id stands among the first features of a record, within so many bytes of one that is well made."""
MOST_TOKENS = 2**20
"""Tokens of a record, so that what it inflates to is bounded; only one timestep or image could have more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record: a whole episode or document, or one chunk of it.

    Attributes:
        episode_id: `task/part/ordinal`, unique in the dataset.
        source_episode_id: the source's own id, may be empty.
        task, agent: names; prompts are drawn within the same task and agent.
        chunk, num_chunks: position among the chunks of the episode.
        episode_return: float32 sum of rewards of the whole episode; NaN where there are none.
        is_terminal: whether the whole episode ended in a terminal state.
        sequence: this chunk's tokens; its offsets are relative to the chunk.
    """

    episode_id: str
    source_episode_id: str = ""
    task: str
    agent: str
    chunk: int = 0
    num_chunks: int = 1
    episode_return: float = float("nan")
    is_terminal: bool = False
    sequence: TokenSequence


@dataclass(frozen=True, slots=True)
class EncodedRecord:
    """The bytes of one record and where things lie in them.

    Attributes:
        data: the serialized tf.train.Example.
        num_distinct: distinct patches.
        columns: (offset, length) in `data` of the payload of `tokens` and of each array column.
        blocks: (offset, length) of every zlib patch block, or of the one raw `patches` payload.
    """

    data: bytes
    num_distinct: int
    columns: dict[str, tuple[int, int]]
    blocks: list[tuple[int, int]] = field(default_factory=list)


def encode_record(record: Record, patches: DistinctPatches, encoding: PatchEncoding) -> EncodedRecord:
    """Serialize one record.

    Args:
        record: what to write.
        patches: of its sequence: `patches.patches[patches.index]` are all of them.
        encoding: how they are stored.

    Raises:
        FormatError: the columns do not agree with each other, or are more than a record can hold.
    """
    sequence = record.sequence
    check(sequence)
    if len(patches.index) != sequence.num_patches:
        raise FormatError(f"column patch_index has {len(patches.index)} values for {sequence.num_patches} patches")
    patches.check()
    if sequence.num_tokens > MOST_TOKENS:
        raise FormatError(
            f"{sequence.num_tokens:,} tokens in one timestep or image, a record holds at most {MOST_TOKENS:,}"
        )
    features: dict[str, wire.Feature] = {
        "agent": wire.text(record.agent),
        "chunk": wire.integer(record.chunk),
        "episode_id": wire.text(record.episode_id),
        "is_terminal": wire.integer(int(record.is_terminal)),
        "num_chunks": wire.integer(record.num_chunks),
        "num_distinct_patches": wire.integer(len(patches.patches)),
        "num_images": wire.integer(sequence.num_images),
        "num_patches": wire.integer(sequence.num_patches),
        "num_timesteps": wire.integer(sequence.num_timesteps),
        "num_tokens": wire.integer(sequence.num_tokens),
        "return": wire.real(record.episode_return),
        "source_episode_id": wire.text(record.source_episode_id),
        "task": wire.text(record.task),
        "tokens": wire.binary([encode_tokens(sequence.tokens, sequence.num_patches, encoding.name)]),
        "patches": wire.binary(encode_patches(patches.patches, encoding)),
    }
    values = {name: getattr(sequence, name) for name in SEQUENCE_COLUMNS}
    values |= {"patch_hash": patches.hashes, "patch_index": patches.index}
    for name, array in values.items():
        features[name] = wire.binary([encode_column(name, array, encoding.name)])
    data, spans = wire.encode_example(features)
    columns = {name: spans[name][0] for name in ("tokens", *ARRAY_COLUMNS)}
    return EncodedRecord(data, len(patches.patches), columns, spans["patches"])


def decode_record(data: bytes | memoryview, encoding: str, *, with_patches: bool = True) -> Record:
    """Parse one record; arrays are read-only views of `data` where they can be.

    Args:
        data: the serialized tf.train.Example.
        encoding: "zlib" or "raw", as the manifest and the index say.
        with_patches: False leaves `patches` unread (an all-zero view without memory).

    Raises:
        FormatError: a feature is missing or malformed, or the columns do not agree.
    """
    return record_of(wire.decode_example(data), encoding, with_patches=with_patches)


def record_of(features: wire.Features, encoding: str, *, with_patches: bool = True) -> Record:
    """The record that an Example's features make; otherwise as `decode_record`.

    Raises:
        FormatError: a feature is missing or malformed, or the columns do not agree.
    """
    counts = record_counts(features)
    columns = {
        name: decode_column(name, _single(features, name), counts[ROWS[name]], encoding) for name in SEQUENCE_COLUMNS
    }
    tokens = decode_tokens(_single(features, "tokens"), counts["tokens"])
    unread = np.broadcast_to(np.zeros((), np.uint8), (counts["patches"], *PATCH_SHAPE))
    sequence = TokenSequence(tokens=tokens, patches=unread, **columns)
    check(sequence)
    payloads = wire.get_bytes(features, "patches")
    stored = {name: _single(features, name) for name in PATCH_COLUMNS}  # all of them are there, wanted or not
    if with_patches:
        index = decode_column("patch_index", stored["patch_index"], counts["patches"], encoding)
        sequence = replace(sequence, patches=gather_patches(payloads, index, counts["distinct_patches"], encoding))
    return Record(
        episode_id=_text(features, "episode_id"),
        source_episode_id=_text(features, "source_episode_id"),
        task=_text(features, "task"),
        agent=_text(features, "agent"),
        chunk=_int(features, "chunk"),
        num_chunks=_int(features, "num_chunks"),
        episode_return=wire.get_real(features, "return"),
        is_terminal=bool(_int(features, "is_terminal")),
        sequence=sequence,
    )


def distinct_of(features: wire.Features, encoding: str) -> DistinctPatches:
    """The distinct patches of a record, its index and its hashes as they are stored; all blocks are inflated.

    Raises:
        FormatError: a feature is missing or damaged, or the index is out of range.
    """
    counts = record_counts(features)
    index, hashes = (
        decode_column(name, _single(features, name), counts[ROWS[name]], encoding)
        for name in ("patch_index", "patch_hash")
    )
    table = decode_patches(wire.get_bytes(features, "patches"), counts["distinct_patches"], encoding)
    patches = DistinctPatches(table, index, hashes)
    patches.check()
    return patches


def record_counts(features: wire.Features) -> dict[str, int]:
    """How many tokens, patches, distinct patches, timesteps and images a record says it has.

    They are within the bounds of a record, so that what they say may be inflated.

    Raises:
        FormatError: one is missing, or they cannot be.
    """
    if "patch_index" not in features:
        raise FormatError(
            "column patch_index is missing: the record is of an older format version, or none of gato-data: "
            "ingest again from its source"
        )
    counts = {name: _int(features, f"num_{name}") for name in RECORD_COUNTS}
    bounds = {
        "tokens": MOST_TOKENS,
        "patches": counts["tokens"],
        "distinct_patches": min(counts["patches"], MOST_DISTINCT),
        "timesteps": counts["tokens"],
        "images": counts["patches"],
    }
    for name, most in bounds.items():
        if not 0 <= counts[name] <= most:
            raise FormatError(f"num_{name} says {counts[name]}, at most {most} can be in the record")
    return counts


def read_episode_id(head: bytes) -> str:
    """The episode id from the first `HEAD_BYTES` of a record, or all of a shorter one.

    Raises:
        FormatError: it is not there.
    """
    try:
        return bytes(wire.get_bytes(wire.leading_features(head), "episode_id")[0]).decode()
    except (IndexError, UnicodeDecodeError) as error:
        raise FormatError("the record has no episode id in its head") from error


def _single(features: wire.Features, name: str) -> memoryview:
    values = wire.get_bytes(features, name)
    if len(values) != 1:
        raise FormatError(f"column {name} has {len(values)} values, one was wanted")
    return values[0]


def _int(features: wire.Features, name: str) -> int:
    return wire.get_integer(features, name)


def _text(features: wire.Features, name: str) -> str:
    try:
        return bytes(_single(features, name)).decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{name} is not UTF-8") from error
