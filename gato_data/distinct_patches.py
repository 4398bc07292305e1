"""Every distinct patch once: N patches -> D distinct ones and the number of each patch's own.

A patch is hashed to 64 bits by multiplying its words with fixed odd numbers, all patches in one pass of numpy. Patches
of equal hash are found through a table of slots, without sorting, and then compared byte by byte: a hash alone never
makes two patches one. Cost is linear in the pixels, and a few hundred rows are held at a time beside the result.
"""

import numpy as np
from numpy.typing import NDArray

from gato_data.permutation import scramble
from gato_schemas.errors import FormatError
from gato_schemas.patches import DistinctPatches
from gato_schemas.sequence import PATCH_BYTES

_WORDS = PATCH_BYTES // 4
_FACTORS = scramble(np.arange(1, _WORDS + 1, dtype=np.uint64)) | np.uint64(1)
_COMPARED_ROWS = 256
_SLOTS_A_ROW = 8
_LEAST_BUCKET = 64


def distinct_patches(patches: NDArray[np.uint8]) -> DistinctPatches:
    """Patches uint8 (N, 16, 16, 3) as a record holds them.

    Raises:
        FormatError: two that differ have the same hash, as only made ones do; readers would take them for one.
    """
    table, index = distinct(patches)
    hashes = hash_patches(table)
    if len(merge(hashes)[0]) < len(hashes):
        raise FormatError("two patches differ and have one hash: readers could not tell them apart")
    return DistinctPatches(table, index, hashes)


def distinct(patches: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Each distinct patch once, in order of first appearance, and which one every patch is.

    Args:
        patches: uint8 (N, 16, 16, 3).

    Returns:
        uint8 (D, 16, 16, 3), no two equal, and int32 (N,) with `distinct[index]` equal to `patches`.
    """
    patches = np.ascontiguousarray(patches)
    first, index = merge(hash_patches(patches))
    table = patches[first]
    if not _same(table, index, patches):
        first, index = _sorted(patches)
        table = patches[first]
    return table, index


def hash_patches(patches: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """64 bits for each patch, equal for equal ones: part of the format, the same on every machine.

    The little-endian 32-bit words of a patch, times one odd 64-bit number each, summed modulo 2**64. Two patches that
    differ have the same sum for at most one choice of the numbers in 2**33; these are fixed, so patches can be made
    to collide: `distinct` tells them apart by comparing, `distinct_patches` refuses them.

    Args:
        patches: uint8 (N, 16, 16, 3).
    """
    words = np.ascontiguousarray(patches).reshape(len(patches), PATCH_BYTES).view("<u4")
    sums: NDArray[np.uint64] = np.einsum("ij,j->i", words, _FACTORS)
    return sums


def merge(hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Rows of equal hash made one: of one table, or of several laid one after the other.

    Args:
        hashes: uint64 (N,).

    Returns:
        int64 (D,), the first row of every hash, ascending, and int32 (N,), which of those each row is.
    """
    count = len(hashes)
    row = np.arange(count, dtype=np.int32)
    bits = max(count * _SLOTS_A_ROW - 1, 1).bit_length()
    slot = (hashes >> np.uint64(64 - bits)).astype(np.int64)
    table = np.empty(1 << bits, np.int32)  # only slots that were written to are read
    table[slot[::-1]] = row[::-1]  # of several that fall into one slot the first row stays
    found = table.take(slot)
    apart = np.flatnonzero(hashes.take(found) != hashes)
    if len(apart):  # the slot was another hash's: all rows of such a hash are here
        _, place, inverse = np.unique(hashes[apart], return_index=True, return_inverse=True)
        found[apart] = apart[place][inverse]
    is_first = found == row
    number = np.cumsum(is_first, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(is_first), number.take(found)


def bucket(count: int) -> int:
    """Rows that a batch of so many distinct patches is padded to, so that few shapes ever come up.

    There are four sizes from each power of two to the next, at most a quarter more than was asked for, and none
    below 64.
    """
    if count <= _LEAST_BUCKET:
        return _LEAST_BUCKET
    step = 1 << ((count - 1).bit_length() - 3)
    return -(-count // step) * step


def _same(table: NDArray[np.uint8], index: NDArray[np.int32], patches: NDArray[np.uint8]) -> bool:
    """Whether `table[index]` is `patches`, a few rows at a time so that both stay in the cache."""
    entries, rows = _words(table), _words(patches)
    room = np.empty((_COMPARED_ROWS, entries.shape[1]), np.uint64)
    for start in range(0, len(rows), _COMPARED_ROWS):
        part = rows[start : start + _COMPARED_ROWS]
        gathered = np.take(entries, index[start : start + len(part)], axis=0, out=room[: len(part)], mode="clip")
        if not np.array_equal(gathered, part):
            return False
    return True


def _sorted(patches: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """As `merge`, by the patches themselves: for when two that differ have the same hash."""
    whole = patches.reshape(len(patches), PATCH_BYTES).view(f"V{PATCH_BYTES}")[:, 0]
    _, place, inverse = np.unique(whole, return_index=True, return_inverse=True)
    order = np.argsort(place)
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    return place[order], number[inverse]


def _words(patches: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return patches.reshape(len(patches), PATCH_BYTES).view(np.uint64)
