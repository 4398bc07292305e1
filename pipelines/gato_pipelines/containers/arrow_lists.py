"""Lists of an Arrow row, or a column of rows, one entry a timestep, as arrays, encoded images and texts.

A list that lacks entries, or whose entries differ in length, raises EpisodeError.
"""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_pipelines.rlds.episode import EncodedImage


def array_of(path: str, scalar: Any) -> NDArray[Any]:
    """A list, or a list of lists of one length, as an array (T, ...)."""
    values, shape = scalar.values, []
    if values is None:
        raise EpisodeError(f"{path} is missing", stage="read")
    while hasattr(values, "value_lengths"):
        lengths = np.asarray(values.value_lengths().fill_null(-1))
        distinct = np.unique(lengths)
        if len(distinct) > 1 or (len(distinct) and distinct[0] < 0):
            raise EpisodeError(f"{path} has {distinct[0]} to {distinct[-1]} values a timestep", stage="read")
        shape.append(int(distinct[0]) if len(distinct) else 0)
        values = values.flatten()
    if values.null_count:
        raise EpisodeError(f"{path} has {values.null_count} empty values", stage="read")
    numbers: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    if numbers.dtype.kind not in "biuf":
        raise EpisodeError(f"{path} holds {numbers.dtype.name}, numbers were expected", stage="read")
    return numbers.reshape(-1, *shape) if 0 not in shape else numbers.reshape(len(scalar.values), *shape)


def images_of(path: str, values: Any) -> list[EncodedImage]:
    """The encoded images of an array of structs."""
    if values is None or values.null_count or values.field("bytes").null_count:
        raise EpisodeError(f"{path} lacks images (are they links?): images inside the file are wanted", stage="read")
    return [value.as_py() for value in values.field("bytes")]


def texts_of(path: str, values: Any) -> list[str]:
    """The texts of an array."""
    if values is None or values.null_count:
        raise EpisodeError(f"{path} has empty texts", stage="read")
    try:
        return [str(text) for text in values.to_pylist()]
    except UnicodeDecodeError as error:
        raise EpisodeError(f"{path} holds text that is not UTF-8 ({error.reason})", stage="decode") from error


def tensor_of(path: str, column: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """A column of numbers, or of lists of them of whatever nesting, as an array (T, *shape)."""
    values, sides = flat(path, column)
    found = as_numbers(path, values)
    if found.dtype.kind not in "biuf" or found.size != len(column) * prod(shape):
        what = f"{path} holds {found.dtype.name} of shape {sides}"
        raise EpisodeError(f"{what}, numbers of shape {shape} were expected", stage="read")
    return found.reshape(len(column), *shape)


def flat(path: str, column: Any) -> tuple[Any, tuple[int, ...]]:
    """The numbers of a column of lists of one length, and the sides of the lists."""
    sides: list[int] = []
    column = getattr(column, "storage", column)  # of a type that Hugging Face registers
    while hasattr(column.type, "value_type"):
        rows = len(column)
        if column.null_count:
            raise EpisodeError(f"{path} has {column.null_count} empty values", stage="read")
        lengths = np.unique(np.asarray(column.value_lengths()))
        if len(lengths) > 1:
            raise EpisodeError(f"{path} has {lengths[0]} to {lengths[-1]} values a timestep", stage="read")
        column = column.flatten()
        sides.append(int(lengths[0]) if rows else 0)
    return column, tuple(sides)


def as_numbers(path: str, values: Any) -> NDArray[Any]:
    """A column of numbers or truth values, none of them empty."""
    if values.null_count:
        raise EpisodeError(f"{path} has {values.null_count} empty values", stage="read")
    found: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return found.astype(bool) if str(values.type) == "bool" else found
