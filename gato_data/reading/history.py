"""How many earlier timesteps one of a window sees: where a state says all, those before it only invite to copy them.

A window of a dataset with a history of H is cut into segments of H + 1 timesteps, each of which stands alone.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gato_data.closest import did_you_mean, listed
from gato_data.errors import SettingError
from gato_data.shards.views import joined_name, split_name, split_names
from gato_schemas.sequence import POSITION_ACTION, POSITION_NONE

ANY = -1
"""Of a dataset whose timesteps see all that is before them in their window."""


def parse_history(text: str) -> dict[str, int]:
    """Read "N", for all datasets, whose name is then empty, or "NAME=N,NAME[VIEW]=N"; views are written in one way.

    Raises:
        SettingError: it is neither, or a number is negative.
        MixtureError: a view cannot be read.
    """
    found: dict[str, int] = {}
    for part in split_names(text):
        name, equals, number = (each.strip() for each in part.rpartition("="))
        if not re.fullmatch(r"[0-9]{1,6}", number) or bool(name) != bool(equals) or (not name and text != part):
            raise SettingError(f"--history {text!r} is no history: a number of timesteps, or NAME=N,NAME=N, is wanted")
        name = joined_name(*split_name(name))
        if name in found:
            raise SettingError(f"--history {text!r} has two numbers for dataset {name}: give it one")
        found[name] = int(number)
    return found


def written_history(history: object) -> str:
    """A history in the one way in which runs keep it, so that equal ones have the same text.

    Args:
        history: what `parse_history` reads, or a whole number, which is for all datasets.

    Raises:
        SettingError, MixtureError: as `parse_history`.
    """
    if isinstance(history, int) and not isinstance(history, bool):
        history = str(history)
    if not isinstance(history, str):
        raise SettingError(f"a history {history!r} is none: a number of timesteps, or a text NAME=N,NAME=N, is wanted")
    found = sorted(parse_history(history).items())
    return ",".join(f"{name}={number}" if name else str(number) for name, number in found)


def limits(history: str | None, names: Sequence[str]) -> NDArray[np.int64] | None:
    """Most earlier timesteps of each dataset, int64 (D,), or `ANY`; None where all have that.

    Raises:
        SettingError: there is no dataset of a name.
    """
    if history is None:
        return None
    asked = parse_history(history)
    if unknown := [name for name in asked if name and name not in names]:
        hint = did_you_mean(unknown[0], names)
        raise SettingError(
            f"--history names dataset {unknown[0]!r}, which is not in the mixture{hint} It has {listed(names)}"
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
