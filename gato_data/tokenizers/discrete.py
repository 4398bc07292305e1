"""Discrete values <-> ids: integers in [0, 1024), row-major (paper section 2.1)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_data.tokenizers.places import describe_place, first_place
from gato_data.vocabulary import DISCRETE_VALUES


def encode(values: NDArray[Any], *, field: str = "value") -> NDArray[np.int32]:
    """The values themselves, int32 in [0, 1024), same shape; booleans and whole floats are integers too.

    Raises:
        EpisodeError: a value is no integer in [0, 1024); says which and where.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "iubf":
        raise EpisodeError(f"{field} is of type {values.dtype}: integers are wanted")
    good = (values >= 0) & (values < DISCRETE_VALUES)  # false for NaN
    if values.dtype.kind == "f":
        good &= values == np.floor(values)
    if not good.all():
        place = first_place(~good)
        raise EpisodeError(
            f"{field} is {values[place]}{describe_place(place)}: an integer in [0, {DISCRETE_VALUES}) is wanted"
        )
    return values.astype(np.int32)
