"""Drawing ids from logits: each draw is a function of the seed of its episode, the timestep and the token alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gato_data.errors import SettingError, TrainError
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


def numbers(seeds: Sequence[int], steps: Sequence[int], tokens: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) for the draws of a timestep.

    Args:
        seeds: of the episode of each of N environments. steps: timesteps that each has played.
        tokens: draws of a timestep.

    Returns:
        float64 (N, tokens).
    """
    key = combine(combine(np.array(seeds, np.uint64), STREAM_ACTION), np.array(steps, np.uint64))
    return uniform(combine(key[:, None], np.arange(tokens)))


def draw(logits: Tensor, temperature: float, number: NDArray[np.float64]) -> NDArray[np.int64]:
    """One of R choices for each of N environments.

    Args:
        logits: (N, R).
        temperature: divides the logits; 0 takes the likeliest, the first of equal ones.
        number: (N,), uniform in [0, 1).

    Returns:
        int64 (N,), in [0, R).

    Raises:
        TrainError: a logit is not finite.
    """
    scores: NDArray[np.float64] = logits.double().cpu().numpy()
    if not np.isfinite(scores).all():
        raise TrainError(
            "the model gives logits that are not finite: its training went wrong, take an earlier checkpoint"
        )
    if temperature == 0:
        return np.asarray(scores.argmax(axis=1), np.int64)
    ends = np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature).cumsum(axis=1)
    place = number[:, None] * ends[:, -1:]
    # rounding may make the last place the sum itself
    return np.asarray(np.minimum((ends <= place).sum(axis=1), scores.shape[1] - 1), np.int64)
