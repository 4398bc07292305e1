"""What the arrays of an index may say: nothing outside the shard, and no more of anything than a record can hold."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_schemas.columns import ARRAY_COLUMNS, ROWS, is_plain, row_bytes, stores_tokens
from gato_schemas.compression import STORED_EXTRA
from gato_schemas.index_rows import COLUMNS
from gato_schemas.patches import BLOCK_PATCHES, MOST_DISTINCT
from gato_schemas.record import MOST_TOKENS
from gato_schemas.sequence import PATCH_BYTES
from gato_schemas.tfrecord import HEADER_BYTES

_ROWS: Mapping[str, str] = {
    "tokens": "num_tokens",
    "patches": "num_patches",
    "distinct_patches": "num_distinct",
    "timesteps": "num_timesteps",
    "images": "num_images",
}


def inside(arrays: Mapping[str, NDArray[Any]], shard_size: int, token_dtype: str, encoding: str) -> bool:
    """Whether all that an index points at lies in its shard, so that reads stay bounded, and what they inflate to.

    Args:
        arrays: the sections of the index.
        shard_size: bytes of the shard.
        token_dtype: "uint16" or "int32".
        encoding: of the patches, "zlib" or "raw".
    """
    tokens, patches, distinct, timesteps, images = (arrays[name].astype(np.int64) for name in _ROWS.values())
    counts = (
        tokens <= MOST_TOKENS,
        patches <= tokens,
        distinct <= patches.clip(max=MOST_DISTINCT),
        (distinct > 0) == (patches > 0),
        timesteps <= tokens,
        images <= patches,
    )
    length, blocks = arrays["length"].astype(np.int64), arrays["blocks"].astype(np.int64)
    starts = arrays["block_starts"].astype(np.int64)
    of_record = starts[1:] - starts[:-1]
    places = (
        arrays["offset"] >= HEADER_BYTES,
        arrays["offset"].astype(np.float64) + length <= shard_size,
        arrays["columns"].astype(np.int64) + arrays["column_bytes"] <= length[:, None],
        of_record == (1 if encoding == "raw" else -(-distinct // BLOCK_PATCHES)),
        blocks.sum(axis=1) <= np.repeat(length, of_record),
    )
    if not all(bool(np.all(condition)) for condition in (*counts, *places)):
        return False
    return _fits(arrays, token_dtype, encoding) and (
        encoding != "raw" or np.array_equal(blocks[:, 1], distinct * PATCH_BYTES)
    )


def _fits(arrays: Mapping[str, NDArray[Any]], token_dtype: str, encoding: str) -> bool:
    """Whether the columns that are not compressed have the bytes that their rows take."""
    found = dict(zip(COLUMNS, arrays["column_bytes"].T.astype(np.int64), strict=True))
    sizes = column_sizes(arrays, "tokens", token_dtype)
    stored = stores_tokens(arrays["num_patches"], sizes, encoding)
    return bool(((found["tokens"] == sizes + STORED_EXTRA) | ~stored).all()) and all(
        np.array_equal(found[name], column_sizes(arrays, name, token_dtype))
        for name in ARRAY_COLUMNS
        if is_plain(name, encoding)
    )


def column_sizes(arrays: Mapping[str, NDArray[Any]], column: str, token_dtype: str) -> NDArray[np.int64]:
    """Bytes of one column of every record when it is inflated, (N,); `column` is one of `COLUMNS`."""
    counts, size = column_rows(column, token_dtype)
    return arrays[counts].astype(np.int64) * size


def column_rows(column: str, token_dtype: str) -> tuple[str, int]:
    """The section of an index that counts a column's rows, and the bytes of one; `column` is one of `COLUMNS`."""
    if column == "tokens":
        return "num_tokens", np.dtype(token_dtype).itemsize
    return _ROWS[ROWS[column]], row_bytes(column)
