"""Memory that batches are filled into: allocated once, used again and again."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gato_data.distinct_patches import bucket
from gato_data.reading.batch import PADDING
from gato_schemas.sequence import PATCH_BYTES, PATCH_SHAPE, POSITION_NONE

Allocate: TypeAlias = Callable[[int], NDArray[np.uint8]]
"""Gives so many bytes of memory; a trainer may give memory that a GPU can copy from by itself (pinned)."""

BYTES_A_SLOT = 4 + 1 + 1 + 4 + 4 + 4 + 8 + 8
"""Of a slot without its patch: tokens, mask, modality, position, segment, raw tokens, and the two lists of slots."""
BYTES_A_PATCH = 4 + 4
"""Of a patch slot beside them: index and position."""


def byte_view(array: NDArray[Any]) -> memoryview:
    """The bytes of a contiguous array, to be read into."""
    return array.reshape(-1).view(np.uint8).data


def default_allocate(size: int) -> NDArray[np.uint8]:
    """Ordinary memory."""
    return np.empty(size, np.uint8)


class Buffers:
    """The arrays of one batch of up to `rows` windows of `width` slots.

    What belongs to patches takes as much memory as the largest batch so far needed.
    """

    def __init__(self, rows: int, width: int, token_dtype: DTypeLike, allocate: Allocate = default_allocate) -> None:
        self._allocate = allocate
        self.rows, self.width = rows, width
        self.tokens = self._array((rows, width), np.int32)
        self.loss_mask = self._array((rows, width), np.uint8)
        self.modality = self._array((rows, width), np.uint8)
        self.position = self._array((rows, width), np.int32)
        self.segment = self._array((rows, width), np.int32)
        self.supervised_slot = self._array((rows * width,), np.int64)
        self.patch_slot = np.empty(0, np.int64)
        self.raw_tokens = np.empty((rows, width), token_dtype)
        self._patch_index = np.empty(0, np.int32)
        self._patch_position = np.empty((0, 4), np.uint8)
        self._distinct = np.empty((0, *PATCH_SHAPE), np.uint8)
        self._written = 0

    def clear(self, rows: NDArray[np.int64]) -> None:
        """Make some rows all padding, but for their tokens."""
        if len(rows):
            self.loss_mask[rows] = 0
            self.modality[rows] = PADDING
            self.position[rows] = POSITION_NONE

    def patches(self, count: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Room for what every patch slot has: its index, int32 (P,), and its position, uint8 (P, 4)."""
        if count > len(self._patch_index):
            size = _room(count, self.rows * self.width)
            self._patch_index = self._array((size,), np.int32)
            self._patch_position = self._array((size, 4), np.uint8)
            self.patch_slot = self._array((size,), np.int64)
        return self._patch_index[:count], self._patch_position[:count]

    def distinct(self, count: int) -> NDArray[np.uint8]:
        """Room for so many distinct patches, uint8 (K, 16, 16, 3), K as `bucket` says; rows behind them are zeros."""
        padded = bucket(count) if count else 0
        if padded > len(self._distinct):
            size = _room(padded, bucket(self.rows * self.width))
            self._distinct = self._array((size, *PATCH_SHAPE), np.uint8)
            self._written = size
        self._distinct[count : self._written] = 0
        self._written = count
        return self._distinct[:padded]

    def _array(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        size = int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
        return self._allocate(size).view(dtype).reshape(shape)


def _room(count: int, most: int) -> int:
    """Rows to make room for where `count` are needed now, and more than `most` never are."""
    return min(count + count // 8, max(count, most))


def places_of(flags: NDArray[np.bool_], out: NDArray[np.int64]) -> NDArray[np.int64]:
    """`np.flatnonzero` of (B, W) into the first places of `out`, a few rows at a time.

    Results of a whole batch are so large that the allocator would fetch new pages from the kernel for every one.
    """
    step = max(1, 12_288 // flags.shape[1])
    at = 0
    for row in range(0, len(flags), step):
        found = np.flatnonzero(flags[row : row + step])
        np.add(found, row * flags.shape[1], out=out[at : at + len(found)])
        at += len(found)
    return out[:at]


def batch_bytes(rows: int, width: int, with_patches: bool) -> int:
    """The most memory that the buffers of a batch can take."""
    slots = rows * width
    patches = bucket(slots) * PATCH_BYTES + slots * BYTES_A_PATCH if with_patches else 0
    return slots * BYTES_A_SLOT + patches
