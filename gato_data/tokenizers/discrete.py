"""Discrete values <-> ids: integers in [0, 1024), row-major (paper section 2.1)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_data.vocabulary import DISCRETE_VALUES


def encode(values: NDArray[Any], *, field: str = "value") -> NDArray[np.int32]:
    """The values themselves, int32 in [0, 1024), same shape.

    Raises:
        EpisodeError: a value is outside [0, 1024); says which and where.
    """
    values = np.asarray(values)
    outside = (values < 0) | (values >= DISCRETE_VALUES)
    if outside.any():
        place = tuple(int(i) for i in np.argwhere(outside)[0])
        where = f" at timestep {place[0]}" if place else ""
        raise EpisodeError(f"{field} is {values[place]}{where}: an integer in [0, {DISCRETE_VALUES}) is wanted")
    return values.astype(np.int32)
