"""A row of an index against the record that it is of."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gato_schemas.index import ShardIndex


def differences(index: ShardIndex, at: int, row: Mapping[str, Any], blocks: Sequence[tuple[int, int]]) -> Iterator[str]:
    """Yield the names of the sections in which an index says something else of a record.

    Args:
        index: of the shard.
        at: number of the row.
        row: what it should be, by section.
        blocks: offset and length of every patch payload of the record.
    """
    found = index.arrays
    for name, value in row.items():
        if not _same(name, found[name][at], value, row["column_bytes"]):
            yield name
    if not np.array_equal(index.blocks_of(at), np.reshape(blocks, (-1, 2))):
        yield "blocks"


def _same(name: str, found: Any, wanted: Any, sizes: Sequence[int]) -> bool:
    """Whether an index says what a record says; where an empty column lies does not matter."""
    if name == "columns":
        pairs = zip(found.tolist(), wanted, sizes, strict=True)
        return all(offset == right or not size for offset, right, size in pairs)
    if name in ("column_bytes", "tokens_by_modality"):
        return bool(tuple(found.tolist()) == tuple(wanted))
    if name == "episode_return":
        return np.float32(found).tobytes() == np.float32(wanted).tobytes() or bool(np.isnan(found) and np.isnan(wanted))
    return int(found) == int(wanted)
