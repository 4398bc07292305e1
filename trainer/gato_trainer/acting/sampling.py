"""Drawing ids from logits: each draw is a function of the seed of its episode, the timestep and the token alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gato_data.errors import SettingError
from gato_trainer.data.randomness import STREAM_ACTION, combine, uniform

_MOST_SEED = 2**63 - 1


def check_temperature(temperature: float) -> None:
    """Refuse what no draw can be made with.

    Raises:
        SettingError: it is negative or not finite.
    """
    if not 0 <= temperature < float("inf"):
        raise SettingError(
            f"temperature {temperature} is not possible: 0 (the likeliest id) or a positive number is wanted"
        )


def check_seed(seed: int) -> None:
    """Refuse what keys no draw.

    Raises:
        SettingError: it is not in [0, 2**63).
    """
    if not 0 <= seed <= _MOST_SEED:
        raise SettingError(f"seed {seed} is not possible: a whole number from 0 to {_MOST_SEED} is wanted")


def draw(
    logits: Tensor, temperature: float, seeds: Sequence[int], steps: Sequence[int], token: int
) -> NDArray[np.int64]:
    """One of R choices for each of N environments.

    Args:
        logits: (N, R).
        temperature: divides the logits; 0 takes the likeliest, the first of equal ones.
        seeds: of the episode of each environment. steps: timesteps that each has played.
        token: number of the token within its timestep.

    Returns:
        int64 (N,), in [0, R).
    """
    scores: NDArray[np.float64] = logits.double().cpu().numpy()
    if temperature == 0:
        return np.asarray(scores.argmax(axis=1), np.int64)
    scores = (scores - scores.max(axis=1, keepdims=True)) / temperature
    ends = np.exp(scores).cumsum(axis=1)
    key = combine(combine(np.array(seeds, np.uint64), STREAM_ACTION), np.array(steps, np.uint64))
    place = uniform(combine(key, token))[:, None] * ends[:, -1:]
    # rounding may make the last place the sum itself
    return np.asarray(np.minimum((ends <= place).sum(axis=1), scores.shape[1] - 1), np.int64)
