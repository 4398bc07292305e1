"""Which episodes a page shows: the extremes of every task, then others spread evenly over the dataset."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gato_data.report.episodes import EpisodeList


@dataclass(frozen=True, slots=True)
class Pick:
    """An episode's number in the list, and why it is shown."""

    episode: int
    why: str


def pick(episodes: EpisodeList, limit: int) -> list[Pick]:
    """At most `limit` episodes, in the order of the dataset; the same ones for the same dataset."""
    total = len(episodes)
    if total <= limit:
        return [Pick(number, "") for number in range(total)]
    chosen: dict[int, list[str]] = {}
    for number, why in _extremes(episodes):
        if number in chosen or len(chosen) < max(limit // 2, 1):
            chosen.setdefault(number, []).append(why)
    for number in np.linspace(0, total - 1, limit).round().astype(int).tolist():
        if len(chosen) < limit:
            chosen.setdefault(number, [])
    return [Pick(number, ", ".join(reasons)) for number, reasons in sorted(chosen.items())]


def _extremes(episodes: EpisodeList) -> Iterator[tuple[int, str]]:
    """The ends of every task, one kind after the other, so that a limit cuts the kinds evenly."""
    tasks = [np.flatnonzero(episodes.task == number) for number in range(len(episodes.tasks))]
    for why, column, sign in (
        ("longest", episodes.tokens, 1),
        ("shortest", episodes.tokens, -1),
        ("highest return", episodes.episode_return, 1),
        ("lowest return", episodes.episode_return, -1),
    ):
        for mine in tasks:
            values: NDArray[np.float64] = sign * column[mine].astype(np.float64)
            values = np.where(np.isfinite(values), values, -np.inf)
            if len(mine) and values.max() > values[np.isfinite(values)].min(initial=np.inf):
                yield int(mine[values.argmax()]), why
