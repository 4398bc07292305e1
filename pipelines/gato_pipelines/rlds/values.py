"""The values of one leaf in one record, in the dtype and shape that the dataset declares."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import deflate
import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_pipelines.rlds.features import Leaf
from gato_schemas.wire import Value

FLAT_VALUES = "/ragged_flat_values"
ROW_LENGTHS = "/ragged_row_lengths_0"
"""TFDS stores a Sequence inside the timesteps as all its values and the number of them in each
timestep."""
MAX_TENSOR_BYTES = 1 << 32
"""Bytes of one leaf over a whole episode, so that a small record cannot claim all memory."""


def read_bytes(leaf: Leaf, found: Mapping[str, Value]) -> list[memoryview]:
    """The values of a leaf that is stored as bytes, such as an encoded image.

    Raises:
        EpisodeError: it is missing, or holds numbers.
    """
    value = found.get(leaf.path)
    if not isinstance(value, list):
        raise EpisodeError(f"feature {leaf.path} is {_describe(value)}, a list of bytes was expected", stage="read")
    return value


def read_texts(leaf: Leaf, found: Mapping[str, Value]) -> list[str]:
    """The values of a leaf that holds text.

    Raises:
        EpisodeError: it is missing, holds numbers, or is not UTF-8.
    """
    try:
        return [str(value, "utf-8") for value in read_bytes(leaf, found)]
    except UnicodeDecodeError as error:
        raise EpisodeError(
            f"feature {leaf.path} holds text that is not UTF-8 ({error.reason})", stage="decode"
        ) from error


def read_array(leaf: Leaf, found: Mapping[str, Value]) -> NDArray[Any]:
    """All values of a numeric leaf, (count, *shape) in its dtype; read-only where it is a view of the record.

    Raises:
        EpisodeError: it is missing, or its values do not fit its dtype, shape or encoding.
    """
    if leaf.encoding != "none":
        return _encoded(leaf, read_bytes(leaf, found))
    return _shaped(leaf, _numbers(leaf, found.get(leaf.path)))


def read_ragged(leaf: Leaf, found: Mapping[str, Value]) -> NDArray[Any]:
    """A numeric Sequence inside the timesteps, of one length throughout: (T, length, *shape).

    Raises:
        EpisodeError: as `read_array`, or its lengths differ.
    """
    values = _shaped(leaf, _numbers(leaf, found.get(leaf.path + FLAT_VALUES)))
    lengths = found.get(leaf.path + ROW_LENGTHS)
    if lengths is None or isinstance(lengths, list):
        raise EpisodeError(f"feature {leaf.path} has no row lengths", stage="read")
    distinct = np.unique(lengths)
    if len(distinct) > 1:
        raise EpisodeError(f"feature {leaf.path} has sequences of {distinct[0]} to {distinct[-1]} values", stage="read")
    length = int(distinct[0]) if len(distinct) else 0
    if length < 0 or len(values) != length * len(lengths):
        raise EpisodeError(
            f"feature {leaf.path} has {len(values)} values for {len(lengths)} sequences of {length}", stage="read"
        )
    return values.reshape(len(lengths), length, *values.shape[1:])


def _shaped(leaf: Leaf, numbers: NDArray[Any]) -> NDArray[Any]:
    shape = _sides(leaf)
    size = math.prod(shape)
    if len(numbers) % size:
        raise EpisodeError(
            f"feature {leaf.path} has {len(numbers)} numbers, a multiple of {size} was expected (shape {shape})",
            stage="read",
        )
    return numbers.reshape(-1, *shape)


def _sides(leaf: Leaf) -> tuple[int, ...]:
    return tuple(side for side in leaf.shape if side is not None)


def _numbers(leaf: Leaf, value: Value | None) -> NDArray[Any]:
    """A list of numbers in the declared dtype."""
    dtype = np.dtype(leaf.dtype)
    wanted = np.dtype(np.float32 if dtype.kind == "f" else np.int64)
    if value is None or isinstance(value, list) or value.dtype != wanted:
        raise EpisodeError(
            f"feature {leaf.path} is {_describe(value)}, a list of {wanted.name} was expected", stage="read"
        )
    numbers: NDArray[Any] = value
    if dtype == np.float32:
        # a view of the record unless it lies unaligned in it
        return np.require(numbers, requirements="A")
    if dtype == np.uint64:
        return numbers.view(np.uint64)  # TFDS stores the same 64 bits
    if dtype.kind in "iu" and dtype.itemsize < 8 and len(numbers):
        limits = np.iinfo(dtype)
        low, high = int(numbers.min()), int(numbers.max())
        if low < limits.min or high > limits.max:
            raise EpisodeError(f"feature {leaf.path} has values {low} to {high}, beyond {dtype.name}", stage="read")
    return numbers.astype(dtype, copy=False)


def _encoded(leaf: Leaf, values: Sequence[memoryview]) -> NDArray[Any]:
    """Tensors stored as bytes of their own."""
    dtype, shape = np.dtype(leaf.dtype), _sides(leaf)
    size = math.prod(shape) * dtype.itemsize
    if size * len(values) > MAX_TENSOR_BYTES:
        raise EpisodeError(
            f"feature {leaf.path} takes {size * len(values)} bytes in one episode, at most {MAX_TENSOR_BYTES} are read",
            stage="decode",
        )
    raw = _inflate(leaf, values, size) if leaf.encoding == "zlib" else values
    if wrong := [len(value) for value in raw if len(value) != size]:
        raise EpisodeError(f"feature {leaf.path} has a value of {wrong[0]} bytes, {size} were expected", stage="decode")
    array = np.frombuffer(b"".join(raw), dtype=dtype.newbyteorder("<"))
    return array.reshape(len(values), *shape)


def _inflate(leaf: Leaf, values: Iterable[memoryview], size: int) -> list[bytearray]:
    try:
        return [deflate.zlib_decompress(value, size) for value in values]
    except (deflate.DeflateError, ValueError) as error:
        raise EpisodeError(
            f"feature {leaf.path} has a value that does not inflate to {size} bytes ({error})", stage="decode"
        ) from error


def _describe(value: Value | None) -> str:
    if value is None:
        return "missing"
    return "a list of bytes" if isinstance(value, list) else f"a list of {value.dtype.name}"
