"""Expert return and the episodes that come near it (paper section 3.1).

    E = max over j of the mean of R[j : j + W]        R in collection order, W = min(1000, N / 10), at least 1
    kept: R >= E - (1 - fraction) |E|

For a positive E the condition is the paper's R >= fraction * E. For a negative one "80 % of the expert return" would
lie above it and throw the expert's own episodes away, so that the same distance is allowed below it: R >= 1.2 E for a
fraction of 0.8. For E = 0 every episode from 0 on is kept, whatever the fraction.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_schemas.dataset import Scores
from gato_schemas.index import ShardIndex

MAX_WINDOW = 1000
WINDOW_SHARE = 10
"""The window is one episode in so many; the paper's formula takes the smaller of this and MAX_WINDOW."""


def episode_return(reward: NDArray[Any]) -> float:
    """The sum of the rewards of an episode, added as float64."""
    return float(reward.sum(dtype=np.float64))


def window(episodes: int) -> int:
    """W: episodes over which returns are averaged."""
    return max(1, min(MAX_WINDOW, episodes // WINDOW_SHARE))


def expert_return(returns: NDArray[np.float64]) -> float:
    """The highest mean of any `window(N)` consecutive returns.

    Args:
        returns: float64 (N,), finite, N >= 1, in the order in which the episodes were collected.
    """
    width = window(len(returns))
    if width == 1:
        return float(returns.max())
    sums = np.concatenate([[0.0], np.cumsum(returns)])
    return min(float((sums[width:] - sums[:-width]).max() / width), float(returns.max()))


def threshold(expert: float, fraction: float) -> float:
    """The lowest return that is kept."""
    return expert - (1 - fraction) * abs(expert)


def task_returns(indexes: Iterable[ShardIndex]) -> dict[str, NDArray[np.float64]]:
    """The returns of the episodes of every task that has some, float64 (N,), in the order in which they are stored."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    for index in indexes:
        begins = index.chunk == 0
        for number in np.unique(index.task[begins]).tolist():
            here = index.episode_return[begins & (index.task == number)].astype(np.float64)
            found.setdefault(index.header.tasks[number], []).append(here)
    return {name: np.concatenate(returns) for name, returns in found.items()}


def scores_of(returns: NDArray[np.float64]) -> Scores:
    """The scores of episodes with these returns (N,), NaN where one has no rewards; nothing is known of success."""
    finite = returns[np.isfinite(returns)]
    if not len(finite):
        return Scores(episodes=len(returns))
    return Scores(episodes=len(returns), mean_return=float(finite.mean()), expert_return=expert_return(finite))
