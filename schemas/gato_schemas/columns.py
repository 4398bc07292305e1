"""The columns of a record as they are stored: plain little-endian bytes, or a zlib stream of them."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gato_schemas.compression import MOST_STORED, deflate_column, inflate_block, store, stored_data
from gato_schemas.errors import FormatError

SEQUENCE_COLUMNS: Mapping[str, DTypeLike] = {
    "image_grid": "<i4",
    "loss_mask": "u1",
    "modality": "u1",
    "patch_position": "u1",
    "position": "<u2",
    "reward": "<f4",
    "timestep_starts": "<i4",
}
"""The columns of a `TokenSequence` whose dtype is fixed (`tokens` is uint16 or int32, `patches` is apart)."""
PATCH_COLUMNS: Mapping[str, DTypeLike] = {"patch_hash": "<u8", "patch_index": "<u2"}
"""The columns of `DistinctPatches` beside the pixels."""
ARRAY_COLUMNS: Mapping[str, DTypeLike] = dict(sorted({**SEQUENCE_COLUMNS, **PATCH_COLUMNS}.items()))
"""All columns of one array of a fixed dtype."""
ROW_SHAPES: Mapping[str, tuple[int, ...]] = {"image_grid": (5,), "patch_position": (4,)}
RECORD_COUNTS = ("tokens", "patches", "distinct_patches", "timesteps", "images")
"""What a record says how many it has of, in features `num_tokens` and so on."""
ROWS: Mapping[str, str] = {
    "image_grid": "images",
    "loss_mask": "tokens",
    "modality": "tokens",
    "patch_hash": "distinct_patches",
    "patch_index": "patches",
    "patch_position": "patches",
    "position": "tokens",
    "reward": "timesteps",
    "timestep_starts": "timesteps",
}
"""Which of `RECORD_COUNTS` a column has rows for."""


@cache
def row_bytes(name: str) -> int:
    """Bytes of one row of an array column."""
    return int(np.dtype(ARRAY_COLUMNS[name]).itemsize * np.prod(ROW_SHAPES.get(name, ()), dtype=int))


def is_plain(name: str, encoding: str) -> bool:
    """Whether an array column is plain bytes in a patch encoding, "zlib" or "raw", and no zlib stream."""
    return name == "patch_hash" or (name == "patch_index" and encoding == "raw")


def stores_tokens(num_patches: Any, size: Any, encoding: str) -> Any:
    """Whether `tokens` of `size` bytes stand uncompressed in their zlib stream, to be read in place.

    They do where no patch has to be inflated either, in chunks as the writer cuts them. Of one record, or arrays of
    several.
    """
    return ((num_patches == 0) | (encoding == "raw")) & (size <= MOST_STORED)


def encode_column(name: str, values: NDArray[Any], encoding: str) -> bytes:
    """The payload of an array column."""
    raw = np.ascontiguousarray(values, dtype=ARRAY_COLUMNS[name]).tobytes()
    return raw if is_plain(name, encoding) else deflate_column(raw)


def decode_column(name: str, payload: bytes | memoryview, rows: int, encoding: str) -> NDArray[Any]:
    """The `rows` rows of an array column; read-only.

    Raises:
        FormatError: the payload is damaged, or holds another number of rows.
    """
    size = rows * row_bytes(name)
    if is_plain(name, encoding):
        if len(payload) != size:
            raise FormatError(f"column {name} has {len(payload)} bytes, {size} were wanted")
    else:
        payload = _inflate(name, payload, size)
    return np.frombuffer(payload, ARRAY_COLUMNS[name]).reshape(rows, *ROW_SHAPES.get(name, ()))


def encode_tokens(tokens: NDArray[np.uint16] | NDArray[np.int32], num_patches: int, encoding: str) -> bytes:
    """The zlib stream of `tokens`."""
    raw = np.ascontiguousarray(tokens, tokens.dtype.newbyteorder("<")).tobytes()
    return store(raw) if stores_tokens(num_patches, len(raw), encoding) else deflate_column(raw)


def decode_tokens(stream: memoryview, count: int) -> NDArray[np.uint16] | NDArray[np.int32]:
    """So many tokens, uint16 or int32 as the stream holds 2 or 4 bytes for each; read-only, in place where stored.

    Raises:
        FormatError: the stream is damaged, or holds another number of tokens.
    """
    data = stored_data(stream, 2 * count) or stored_data(stream, 4 * count)
    if data is None:
        data = _inflate("tokens", stream, 2 * count, 4 * count)
    if len(data) == 2 * count:
        return np.frombuffer(data, "<u2")
    return np.frombuffer(data, "<i4")


def _inflate(name: str, stream: bytes | memoryview, *sizes: int) -> memoryview:
    try:
        return memoryview(inflate_block(stream, *sizes)).toreadonly()
    except FormatError as error:
        raise FormatError(f"column {name}: {error}") from error
