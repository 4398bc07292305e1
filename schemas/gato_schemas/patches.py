"""The `patches` column of a record: zlib blocks of 256 patches, the last one padded with zeros, or raw pixels."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gato_schemas.compression import PatchEncoding, deflate_block, inflate_block
from gato_schemas.errors import FormatError
from gato_schemas.sequence import PATCH_BYTES, PATCH_SHAPE

BLOCK_PATCHES = 256
"""Patches in one zlib block."""
BLOCK_BYTES = BLOCK_PATCHES * PATCH_BYTES


def encode_patches(patches: NDArray[np.uint8], encoding: PatchEncoding) -> list[bytes | memoryview]:
    """The payloads of patches uint8 (P, 16, 16, 3)."""
    if encoding.name == "raw":
        return [np.ascontiguousarray(patches).reshape(-1).data]
    blocks: list[bytes | memoryview] = []
    for start in range(0, len(patches), BLOCK_PATCHES):
        raw = patches[start : start + BLOCK_PATCHES].tobytes()
        blocks.append(deflate_block(raw.ljust(BLOCK_BYTES, b"\0"), encoding.level))
    return blocks


def check_payloads(payloads: Sequence[memoryview], total: int, encoding: str) -> None:
    """Check that there are as many payloads as `total` patches take in this encoding, "zlib" or "raw".

    Raises:
        FormatError: there is another number of them, or raw pixels of another length.
    """
    if encoding == "raw":
        if len(payloads) != 1 or len(payloads[0]) != total * PATCH_BYTES:
            raise FormatError(f"column patches has {sum(map(len, payloads))} bytes for {total} patches")
    elif len(payloads) != -(-total // BLOCK_PATCHES):
        raise FormatError(f"column patches has {len(payloads)} blocks for {total} patches")


def read_blocks(payloads: Sequence[memoryview], encoding: str) -> Iterator[memoryview]:
    """Yield the pixels of every payload, one block in memory at a time; a last block ends with its padding.

    Raises:
        FormatError: a block is damaged.
    """
    for payload in payloads:
        yield payload if encoding == "raw" else memoryview(inflate_block(payload, BLOCK_BYTES))


def decode_patches(
    payloads: Sequence[memoryview], total: int, encoding: str, first: int = 0, count: int | None = None
) -> NDArray[np.uint8]:
    """Patches [first, first + count) of `total`, uint8 (count, 16, 16, 3); all from `first` on where `count` is None.

    Only the blocks that hold them are inflated; raw ones are a read-only view.

    Raises:
        FormatError: a block is missing or damaged.
    """
    check_payloads(payloads, total, encoding)
    stop = total if count is None else min(first + count, total)
    if encoding == "raw":
        return np.frombuffer(payloads[0], np.uint8).reshape(-1, *PATCH_SHAPE)[first:stop]
    out = np.empty((max(stop - first, 0), *PATCH_SHAPE), np.uint8)
    inside = payloads[first // BLOCK_PATCHES : -(-stop // BLOCK_PATCHES)]
    copy_patches(read_blocks(inside, encoding), first % BLOCK_PATCHES, out.reshape(-1).data)
    return out


def copy_patches(blocks: Iterable[memoryview], first: int, out: memoryview) -> None:
    """Fill `out` with the pixels of consecutive blocks, from patch `first` of the first one on."""
    skip, done = first * PATCH_BYTES, 0
    for block in blocks:
        part = block[skip : skip + len(out) - done]
        out[done : done + len(part)] = part
        skip, done = 0, done + len(part)
