"""Where in an episode a value stands, for errors."""

import numpy as np
from numpy.typing import NDArray

Place = tuple[int, ...]
"""Timestep, then the index within the value."""


def first_place(wrong: NDArray[np.bool_]) -> Place:
    """The first place, row-major, where `wrong` (T, ...) is true."""
    return tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))


def describe_place(place: Place) -> str:
    """How an error ends: " at timestep 3, element [1, 0]"; empty for a value without timesteps."""
    where = f" at timestep {place[0]}" if place else ""
    return where + (f", element {list(place[1:])}" if len(place) > 1 else "")
