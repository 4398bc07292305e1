"""The patches of a record, each distinct one once: zlib blocks of 256, the last one padded with zeros, or raw pixels.

`patch_index` says for every patch token which of them it is, so that patches are found by one gather.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gato_schemas.compression import PatchEncoding, deflate_block, inflate_block
from gato_schemas.errors import FormatError
from gato_schemas.sequence import PATCH_BYTES, PATCH_SHAPE

BLOCK_PATCHES = 256
"""Patches in one zlib block."""
BLOCK_BYTES = BLOCK_PATCHES * PATCH_BYTES
MOST_DISTINCT = 65_536
"""Distinct patches of a record: their numbers are uint16."""


@dataclass(frozen=True, slots=True, eq=False)
class DistinctPatches:
    """The P patches of a record as D distinct ones.

    Attributes:
        patches: uint8 (D, 16, 16, 3), no two equal, in order of first appearance.
        index: integers (P,), which of them every patch token is.
        hashes: uint64 (D,), 64 bits of each that are equal in all records.
    """

    patches: NDArray[np.uint8]
    index: NDArray[np.integer]
    hashes: NDArray[np.uint64]

    def check(self) -> None:
        """Check that every patch token has a patch, and that a record can hold them.

        Raises:
            FormatError: there are too many, as many hashes are wanted, or an index is out of range.
        """
        count = len(self.patches)
        if count > MOST_DISTINCT:
            raise FormatError(
                f"{count:,} distinct patches in one timestep or image, a record holds at most {MOST_DISTINCT:,}"
            )
        if len(self.hashes) != count:
            raise FormatError(f"column patch_hash has {len(self.hashes)} values for {count} distinct patches")
        check_index(self.index, count)


def check_index(index: NDArray[np.integer], distinct: int) -> None:
    """Check that an index points at `distinct` patches; raises FormatError."""
    if len(index) and (highest := int(index.max())) >= distinct:
        raise FormatError(f"column patch_index names patch {highest} of {distinct}")


def encode_patches(patches: NDArray[np.uint8], encoding: PatchEncoding) -> list[bytes | memoryview]:
    """The payloads of distinct patches uint8 (D, 16, 16, 3)."""
    if encoding.name == "raw":
        return [np.ascontiguousarray(patches).reshape(-1).data]
    blocks: list[bytes | memoryview] = []
    for start in range(0, len(patches), BLOCK_PATCHES):
        raw = patches[start : start + BLOCK_PATCHES].tobytes()
        blocks.append(deflate_block(raw.ljust(BLOCK_BYTES, b"\0"), encoding.level))
    return blocks


def check_payloads(payloads: Sequence[memoryview], distinct: int, encoding: str) -> None:
    """Check that there are as many payloads as `distinct` patches take in this encoding, "zlib" or "raw".

    Raises:
        FormatError: there is another number of them, or raw pixels of another length.
    """
    if encoding == "raw":
        if len(payloads) != 1 or len(payloads[0]) != distinct * PATCH_BYTES:
            size = sum(map(len, payloads))
            raise FormatError(f"column patches has {size} bytes for {distinct} distinct patches")
    elif len(payloads) != -(-distinct // BLOCK_PATCHES):
        raise FormatError(f"column patches has {len(payloads)} blocks for {distinct} distinct patches")


def inflate_patches(block: bytes | memoryview) -> bytearray:
    """The pixels of one zlib block, its padding included.

    Raises:
        FormatError: it is damaged.
    """
    try:
        return inflate_block(block, BLOCK_BYTES)
    except FormatError as error:
        raise FormatError(f"column patches: {error}") from error


def decode_patches(payloads: Sequence[memoryview], distinct: int, encoding: str) -> NDArray[np.uint8]:
    """All distinct patches, uint8 (D, 16, 16, 3); raw ones are a read-only view.

    Raises:
        FormatError: a block is missing or damaged.
    """
    check_payloads(payloads, distinct, encoding)
    if encoding == "raw":
        return np.frombuffer(payloads[0], np.uint8).reshape(-1, *PATCH_SHAPE)
    out = np.empty((distinct, *PATCH_SHAPE), np.uint8)
    for number, payload in enumerate(payloads):
        part = out[number * BLOCK_PATCHES : (number + 1) * BLOCK_PATCHES]
        part[...] = np.frombuffer(inflate_patches(payload), np.uint8, part.size).reshape(part.shape)
    return out


def gather_patches(
    payloads: Sequence[memoryview], index: NDArray[np.integer], distinct: int, encoding: str
) -> NDArray[np.uint8]:
    """The patches that an index (P,) names of `distinct` ones, uint8 (P, 16, 16, 3).

    Only the blocks that hold them are inflated, one in memory at a time.

    Raises:
        FormatError: a block is missing or damaged, or the index names a patch that is not there.
    """
    check_payloads(payloads, distinct, encoding)
    check_index(index, distinct)
    if encoding == "raw":
        return np.take(np.frombuffer(payloads[0], np.uint8).reshape(-1, *PATCH_SHAPE), index, axis=0)
    out = np.empty((len(index), *PATCH_SHAPE), np.uint8)
    block, row = np.divmod(index, BLOCK_PATCHES)
    for number in np.unique(block).tolist():
        pixels = np.frombuffer(inflate_patches(payloads[number]), np.uint8).reshape(-1, *PATCH_SHAPE)
        where = np.flatnonzero(block == number)
        for part in np.array_split(where, -(-len(where) // BLOCK_PATCHES)):
            out[part] = pixels[row[part]]
    return out
