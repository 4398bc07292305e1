"""Record <-> the bytes of one tf.train.Example, deterministic to the byte and without protocol buffers.

Features stand in sorted order; arrays are raw little-endian bytes in one bytes value; patches are either zlib
blocks of 256 (the last one zero-padded) or raw. `EncodedRecord` says where each of them lies, for the index.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gato_schemas import wire
from gato_schemas.compression import PatchEncoding
from gato_schemas.errors import FormatError
from gato_schemas.patches import decode_patches, encode_patches
from gato_schemas.sequence import PATCH_SHAPE, TokenSequence, check

HEAD_BYTES = 4096
"""An episode id stands among the first features of a record, within so many bytes of one that is well made."""
ARRAY_COLUMNS: Mapping[str, DTypeLike] = {
    "image_grid": "<i4",
    "loss_mask": "u1",
    "modality": "u1",
    "patch_position": "u1",
    "position": "<u2",
    "reward": "<f4",
    "timestep_starts": "<i4",
}
"""The columns stored as raw bytes whose dtype is fixed (`tokens` is uint16 or int32, `patches` is apart)."""
ROW_SHAPES: Mapping[str, tuple[int, ...]] = {"image_grid": (5,), "patch_position": (4,)}


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
        columns: offset of each array column's payload in `data`.
        blocks: (offset, length) of every zlib patch block, or of the one raw `patches` payload.
    """

    data: bytes
    columns: dict[str, int]
    blocks: list[tuple[int, int]] = field(default_factory=list)


def encode_record(record: Record, patch_encoding: PatchEncoding) -> EncodedRecord:
    """Serialize one record.

    Raises:
        FormatError: the columns do not agree with each other, or are more than a record can hold.
    """
    sequence = record.sequence
    check(sequence)
    features: dict[str, wire.Feature] = {
        "agent": wire.text(record.agent),
        "chunk": wire.integer(record.chunk),
        "episode_id": wire.text(record.episode_id),
        "is_terminal": wire.integer(int(record.is_terminal)),
        "num_chunks": wire.integer(record.num_chunks),
        "num_images": wire.integer(sequence.num_images),
        "num_patches": wire.integer(sequence.num_patches),
        "num_timesteps": wire.integer(sequence.num_timesteps),
        "num_tokens": wire.integer(sequence.num_tokens),
        "return": wire.real(record.episode_return),
        "source_episode_id": wire.text(record.source_episode_id),
        "task": wire.text(record.task),
        "tokens": wire.binary([_raw(sequence.tokens, sequence.tokens.dtype.newbyteorder("<"))]),
        "patches": wire.binary(encode_patches(sequence.patches, patch_encoding)),
    }
    for name, dtype in ARRAY_COLUMNS.items():
        features[name] = wire.binary([_raw(getattr(sequence, name), dtype)])
    data, spans = wire.encode_example(features)
    columns = {name: spans[name][0][0] for name in ("tokens", *ARRAY_COLUMNS)}
    return EncodedRecord(data, columns, spans["patches"])


def _raw(array: NDArray[np.generic], dtype: DTypeLike) -> bytes:
    return np.ascontiguousarray(array, dtype=dtype).tobytes()


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
    arrays: dict[str, Any] = {name: _array(features, name, dtype) for name, dtype in ARRAY_COLUMNS.items()}
    num_tokens, num_patches = _int(features, "num_tokens"), _int(features, "num_patches")
    if num_patches != len(arrays["patch_position"]):
        raise FormatError(f"num_patches says {num_patches}, the columns hold {len(arrays['patch_position'])}")
    tokens = _tokens(features, num_tokens)
    unread = np.broadcast_to(np.zeros((), np.uint8), (num_patches, *PATCH_SHAPE))
    sequence = TokenSequence(tokens=tokens, patches=unread, **arrays)
    check(sequence)  # before anything is inflated, so that a small record cannot claim much memory
    for name in ("num_tokens", "num_timesteps", "num_images"):
        if _int(features, name) != getattr(sequence, name):
            raise FormatError(f"{name} says {_int(features, name)}, the columns hold {getattr(sequence, name)}")
    if with_patches:
        patches = decode_patches(wire.get_bytes(features, "patches"), num_patches, encoding)
        sequence = replace(sequence, patches=patches)
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


def read_episode_id(head: bytes) -> str:
    """The episode id from the first `HEAD_BYTES` of a record, or all of a shorter one.

    Raises:
        FormatError: it is not there.
    """
    try:
        return bytes(wire.get_bytes(wire.leading_features(head), "episode_id")[0]).decode()
    except (IndexError, UnicodeDecodeError) as error:
        raise FormatError("the record has no episode id in its head") from error


def _tokens(features: wire.Features, num_tokens: int) -> NDArray[np.uint16] | NDArray[np.int32]:
    payload = _single(features, "tokens")
    if num_tokens < 0 or len(payload) not in (2 * num_tokens, 4 * num_tokens):
        raise FormatError(f"column tokens has {len(payload)} bytes for {num_tokens} tokens")
    if len(payload) == 2 * num_tokens:
        return np.frombuffer(payload, "<u2")
    return np.frombuffer(payload, "<i4")


def _array(features: wire.Features, name: str, dtype: DTypeLike) -> NDArray[np.generic]:
    payload, row = _single(features, name), ROW_SHAPES.get(name, ())
    if len(payload) % (np.dtype(dtype).itemsize * int(np.prod(row, dtype=int))):
        raise FormatError(f"column {name} has {len(payload)} bytes, no whole number of rows")
    return np.frombuffer(payload, dtype).reshape(-1, *row)


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
