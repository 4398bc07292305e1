"""What can be said of a few episodes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z = 1.96
"""Standard errors on each side of a mean that hold 95 % of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean.

    Attributes:
        value: the mean itself.
        error: its standard error; None of a single value.
    """

    value: float
    error: float | None


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of episodes, with its Wilson interval of 95 %."""

    value: float
    low: float
    high: float


def estimate(values: NDArray[np.float64]) -> Estimate:
    """Mean and standard error of values (N,), N >= 1."""
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return Estimate(float(values.mean()), error)


def rate(hits: int, of: int) -> Rate:
    """A share of `of` >= 1 episodes, with the interval of Wilson (1927)."""
    share = hits / of
    middle = (share + Z**2 / (2 * of)) / (1 + Z**2 / of)
    half = Z / (1 + Z**2 / of) * np.sqrt(share * (1 - share) / of + Z**2 / (4 * of**2))
    return Rate(share, max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def is_better(expert: NDArray[np.float64], random: NDArray[np.float64]) -> bool:
    """Whether an expert's returns are above those of chance by more than chance: two standard errors of the difference.

    Args:
        expert, random: float64 (N,), of the same episodes.
    """
    gain = estimate(expert - random)
    return gain.value > 0 and (gain.error is None or gain.value > 2 * gain.error)


def normalised(policy: NDArray[np.float64], random: NDArray[np.float64], expert: NDArray[np.float64]) -> Estimate:
    """Where between chance (0) and the expert (1) a policy's mean return lies (paper, section 4).

    The error is that of a ratio of paired means, to first order.

    Args:
        policy, random, expert: float64 (N,), returns of the same episodes; the expert's mean is above that of chance.
    """
    span = float((expert - random).mean())
    score = float((policy - random).mean()) / span
    rest = estimate(policy - random - score * (expert - random))
    return Estimate(score, None if rest.error is None else rest.error / span)
