"""Which episodes a page plays, and how many timesteps of each: every one where the page's size allows it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gato_data.printable import printable
from gato_data.report.decoder import IdDecoder
from gato_data.report.episodes import EpisodeList
from gato_data.report.html.atlas import MOST, Atlas, FullAtlasError
from gato_data.report.html.episode import Gathered, episode_content
from gato_data.report.html.episode_records import EpisodeRecords
from gato_data.report.html.packed import json_of
from gato_data.report.html.pick import Pick, pick
from gato_data.shards.index import index_of
from gato_schemas.index import ShardIndex

PAGE_BYTES = 11_000_000
"""Of all episodes of a page together."""
REST = 2 / 3
"""Share of it that all but the patches may take."""
CELLS = 20_000_000
"""Tokens of all shown timesteps."""


def episodes_content(
    folder: Path, episodes: EpisodeList, decoder: IdDecoder, limit: int, share_of_page: float
) -> dict[str, Any]:
    """At most `limit` episodes that are played, within a share of the page's budget, and how many there are.

    Every timestep of them is on the page, or as many of each as fit, spread evenly; frames are exact where that
    costs no timestep, else compressed with loss.

    Raises:
        FormatError: a shard is damaged.
    """
    picks = [
        chosen
        for chosen in pick(episodes, limit)
        if (folder / episodes.shards[episodes.shard[chosen.episode]]).is_file()
    ]
    steps = _first_limit(episodes, picks, share_of_page)
    while True:
        content, ratio = _attempt(folder, episodes, picks, decoder, steps, share_of_page)
        if content is not None:
            return {**content, "num_episodes": len(episodes)}
        steps = max(int(steps * min(0.95 / ratio, 0.95)), 1)


def _first_limit(episodes: EpisodeList, picks: list[Pick], share_of_page: float) -> int:
    """The longest episode's timesteps, or less where that is more than `CELLS`."""
    chosen = [pick.episode for pick in picks]
    lengths = episodes.timesteps[chosen]
    each = episodes.tokens[chosen] / lengths.clip(1)
    steps = int(lengths.max(initial=1))
    while steps > 1 and float((lengths.clip(0, steps) * each).sum()) > CELLS * share_of_page:
        steps = int(steps * 0.9)
    return max(steps, 1)


def _attempt(
    folder: Path, episodes: EpisodeList, picks: list[Pick], decoder: IdDecoder, steps: int, share_of_page: float
) -> tuple[dict[str, Any] | None, float]:
    """The content with at most `steps` timesteps of an episode, or how many times too large it is."""
    is_last = steps == 1  # less than one timestep of each cannot be shown
    gathered = Gathered(decoder, Atlas(len(picks) * 4096 if is_last else MOST))
    contents: list[dict[str, Any]] = []
    try:
        for chosen, episode in _opened(folder, episodes, picks):
            split = printable(episodes.splits[episodes.split[chosen.episode]])
            contents.append({**episode_content(episode, gathered, steps), "why": chosen.why, "split": split})
    except FullAtlasError:
        return None, min(len(picks) / max(len(contents), 1), 10)
    rest = {"episodes": contents, **gathered.content()}
    budget = PAGE_BYTES * share_of_page
    size = len(json_of(rest))
    if size > REST * budget and not is_last:
        return None, size / (REST * budget)
    sheets, exact, ratio = gathered.atlas.sheets(int(max(budget - size, (1 - REST) * budget)), force=is_last)
    if not sheets and ratio > 1:
        return None, ratio
    return {**rest, "sheets": sheets, "exact": exact}, 1.0


def _opened(folder: Path, episodes: EpisodeList, picks: list[Pick]) -> Iterator[tuple[Pick, EpisodeRecords]]:
    opened: tuple[str, ShardIndex | None] = ("", None)
    for chosen in picks:
        name = episodes.shards[episodes.shard[chosen.episode]]
        if opened[0] != name:
            opened = (name, index_of(folder / name))
        if opened[1] is not None:
            yield chosen, EpisodeRecords.of(folder / name, opened[1], int(episodes.record[chosen.episode]))
