"""How many earlier timesteps one of a window sees: where a state says all, those before it only invite to copy them.

A window of a dataset with a history of H is cut into segments of H + 1 timesteps, each of which stands alone.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gato_data.closest import did_you_mean
from gato_data.errors import SettingError
from gato_schemas.sequence import POSITION_ACTION, POSITION_NONE

ANY = -1
"""Of a dataset whose timesteps see all that is before them in their window."""
_BETWEEN = re.compile(r",(?![^\[]*\])")
"""The commas that are not within brackets."""


def parse_history(text: str) -> dict[str, int]:
    """Read "N", for all datasets, whose name is then empty, or "NAME=N,NAME[VIEW]=N".

    Raises:
        SettingError: it is neither, or a number is negative.
    """
    found: dict[str, int] = {}
    for part in _BETWEEN.split(text):
        name, equals, number = (each.strip() for each in part.rpartition("="))
        if not re.fullmatch(r"[0-9]{1,6}", number) or bool(name) != bool(equals) or (not name and text != part):
            raise SettingError(f"--history {text!r} is no history: a number of timesteps, or NAME=N,NAME=N, is wanted")
        if name in found:
            raise SettingError(f"--history {text!r} has two numbers for dataset {name}: give it one")
        found[name] = int(number)
    return found


def limits(history: str | None, names: Sequence[str]) -> NDArray[np.int64] | None:
    """Most earlier timesteps of each dataset, int64 (D,), or `ANY`; None where all have that.

    Raises:
        SettingError: there is no dataset of a name.
    """
    if history is None:
        return None
    asked = parse_history(history)
    if unknown := [name for name in asked if name and name not in names]:
        raise SettingError(
            f"--history names dataset {unknown[0]!r}, which is not in the mixture{did_you_mean(unknown[0], names)}"
        )
    return np.array([asked.get(name, asked.get("", ANY)) for name in names], np.int64)


def put_segments(
    segment: NDArray[np.int32],
    loss_mask: NDArray[np.uint8],
    position: NDArray[np.int32],
    pieces: tuple[NDArray[np.int64], NDArray[np.int64]],
    limit: NDArray[np.int64],
) -> None:
    """Number what stands alone in the rows of datasets with a limit; its first token has nothing to be predicted from.

    Args:
        segment: (B, W), as packed episodes have it; it is changed.
        loss_mask, position: of the batch; the former is changed.
        pieces: rows and slots where the pieces begin that the rows are made of.
        limit: int64 (B,), of the dataset of each row.
    """
    rows = np.flatnonzero(limit != ANY)
    if not len(rows):
        return
    codes = position[rows]
    is_action = codes == POSITION_ACTION
    begins = np.zeros_like(is_action)
    begins[:, 1:] = is_action[:, :-1] & ~is_action[:, 1:] & (codes[:, 1:] != POSITION_NONE)  # which is padding
    first = np.zeros(segment.shape, np.bool_)
    first[pieces] = True
    first = first[rows]
    timestep = np.cumsum(begins | first, axis=1)
    within = timestep - np.maximum.accumulate(np.where(first, timestep, 0), axis=1)
    alone = first | (begins & (within % (limit[rows, None] + 1) == 0))
    segment[rows] = np.cumsum(alone, axis=1) - 1
    loss_mask[rows] *= ~alone
