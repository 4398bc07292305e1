"""Where the distinct patches of every record stand, so that a batch finds them without its indexes."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from gato_data.permutation import Numbers
from gato_schemas.index import ShardIndex
from gato_schemas.index_rows import COLUMNS


@dataclass(frozen=True, slots=True, eq=False)
class PatchTable:
    """Of R records; all arrays are empty where none of them has a patch.

    Attributes:
        patches, distinct: uint32 (R,), patch tokens, and distinct patches.
        index_at, hash_at, pixels_at: int64 (R,), bytes of the shard where the payloads of `patch_index` and
            `patch_hash` and the first of `patches` begin.
    """

    patches: NDArray[np.uint32]
    distinct: NDArray[np.uint32]
    index_at: Numbers
    hash_at: Numbers
    pixels_at: Numbers

    @classmethod
    def of(cls, index: ShardIndex) -> "PatchTable":
        """Of the records of one shard; its arrays are no views of the index."""
        offset, begin = index.offset.astype(np.int64), index.block_starts.astype(np.int64)
        has = np.flatnonzero(begin[1:] > begin[:-1])
        pixels_at = offset.copy()
        pixels_at[has] += index.blocks[begin[has], 0]
        index_at, hash_at = (offset + index.columns[:, COLUMNS.index(name)] for name in ("patch_index", "patch_hash"))
        return cls(np.array(index.num_patches), np.array(index.num_distinct), index_at, hash_at, pixels_at)

    def take(self, which: NDArray[np.bool_] | slice) -> "PatchTable":
        """Of some of the records."""
        return PatchTable(*(getattr(self, field.name)[which] for field in fields(self)))

    @classmethod
    def join(cls, parts: Sequence["PatchTable"]) -> "PatchTable":
        """Of the records of several shards, one after the other."""
        some = any(part.patches.any() for part in parts)
        names = [field.name for field in fields(cls)]
        columns = [np.concatenate([getattr(part, name) for part in parts]) for name in names] if some else []
        return cls(*columns) if some else cls(*(np.zeros(0, kind) for kind in ("u4", "u4", "i8", "i8", "i8")))

    @property
    def nbytes(self) -> int:
        """Memory of all arrays."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))
