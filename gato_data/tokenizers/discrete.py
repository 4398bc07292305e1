"""Discrete values <-> ids: integers in [0, 1024), row-major (paper section 2.1)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_data.tokenizers.places import describe_place, first_place
from gato_data.vocabulary import DISCRETE_VALUES


def encode(values: NDArray[Any], *, field: str = "value", start: int = 0) -> NDArray[np.int32]:
    """The values themselves, counted from `start`, int32 in [0, 1024), same shape.

    Booleans and whole floats are integers too.

    Raises:
        EpisodeError: a value is no integer in [start, start + 1024); says which and where.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "iubf":
        raise EpisodeError(f"{field} is of type {values.dtype}: integers are wanted")
    end = start + DISCRETE_VALUES
    good = (values >= start) & (values < end)  # false for NaN
    if values.dtype.kind == "f":
        good &= values == np.floor(values)
    if not good.all():
        place = first_place(~good)
        raise EpisodeError(
            f"{field} is {values[place]}{describe_place(place)}: an integer in [{start}, {end}) is wanted"
        )
    return (values.astype(np.int64) - start).astype(np.int32) if start else values.astype(np.int32)
