"""Lists of an Arrow row, one entry a timestep, as arrays, encoded images and texts.

A list that lacks entries, or whose entries differ in length, raises EpisodeError.
"""

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


def images_of(path: str, scalar: Any) -> list[EncodedImage]:
    """The encoded images of a list of structs."""
    values = scalar.values
    if values is None or values.null_count or values.field("bytes").null_count:
        raise EpisodeError(f"{path} lacks images (are they links?): images inside the file are wanted", stage="read")
    return [value.as_py() for value in values.field("bytes")]


def texts_of(path: str, scalar: Any) -> list[str]:
    """The texts of a list."""
    if scalar.values is None or scalar.values.null_count:
        raise EpisodeError(f"{path} has empty texts", stage="read")
    try:
        return [str(text) for text in scalar.values.to_pylist()]
    except UnicodeDecodeError as error:
        raise EpisodeError(f"{path} holds text that is not UTF-8 ({error.reason})", stage="decode") from error
