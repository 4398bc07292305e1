"""What the planning pass learns from one part: ends of episodes, returns, successes, ranges; no image is decoded."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_data.returns import episode_return
from gato_pipelines.containers.container import REWARD, TERMINAL, Container, RawItem
from gato_pipelines.control.announced import checked_episodes
from gato_pipelines.control.bad_fields import find_troubles
from gato_pipelines.control.borders import add_borders, borders_of
from gato_pipelines.control.flags import flag_leaves, is_terminal, scalar_leaf, succeeded
from gato_pipelines.control.resampling import Resampler
from gato_pipelines.control.scanned_ranges import RangeChoice, RangeScanner
from gato_pipelines.control.selection import Selection
from gato_pipelines.control.sequence_lengths import undeclared_lengths
from gato_pipelines.part_scan import Borders, Ends, PartScan
from gato_pipelines.rlds.episode import RldsEpisode, per_timestep
from gato_pipelines.rlds.features import Kind, Leaf
from gato_schemas.account import Note
from gato_schemas.index import Part
from gato_schemas.selection import Resampling


@dataclass(frozen=True, kw_only=True)
class ScanChoice:
    """What is to be found out of every episode, apart from how it ends.

    Attributes:
        returns: whether returns are.
        success: the leaf that says whether it succeeded; None where there is none.
        order: the leaves that number the episodes in the order of collection.
        ranges: of continuous fields, which are found or looked at.
        resampling: which timesteps become timesteps.
        ignore_borders: whether flags inside an episode mean nothing.
    """

    returns: bool = False
    success: Leaf | None = None
    order: tuple[Leaf, ...] = ()
    ranges: RangeChoice = field(default_factory=RangeChoice)
    resampling: Resampling | None = None
    ignore_borders: bool = False


def scan_part(container: Container, part: Part, chosen: Selection, choice: ScanChoice, agent: str) -> PartScan:
    """Scan one part.

    Raises:
        OSError: it cannot be opened.
        InputError: it holds more episodes than its dataset announces.
    """
    scanner = _PartScanner(container, chosen, choice)
    found = 0
    container.check_announced(part.file)
    for item in checked_episodes(container, part.file, scanner.leaves, part.first, part.count or None):
        found += item.count
        scanner.add(item)
    return PartScan(
        part=msgspec.structs.replace(part, count=part.count or found),
        observations=[spec for _, spec in chosen.observations],
        actions=[spec for _, spec in chosen.actions],
        agents=[agent],
        left_out=chosen.left_out,
        ends=Ends(**scanner.ends),
        final_step=container.final_step,
        returns=scanner.returns,
        successes=scanner.successes,
        order=scanner.order,
        ranges=scanner.ranges.ranges(),
        outside=scanner.ranges.outside(),
        idle=scanner.idle,
        troubles=find_troubles(container, part, chosen),
        unreadable=scanner.unreadable,
        reason=scanner.reason,
        borders=scanner.borders,
        lengths=scanner.lengths,
        images=chosen.raw_images,
        action_values=chosen.action_values,
        environment=container.environment,
        texts=list(chosen.texts),
        notes=[*container.notes, *(Note("read", text) for text in chosen.readings)],
        decodes_video=any(leaf.kind == Kind.VIDEO for leaf, _ in chosen.observations),
    )


class _PartScanner:
    """Adds up what the episodes of one part say."""

    def __init__(self, container: Container, chosen: Selection, choice: ScanChoice) -> None:
        self._choice = choice
        self._resampler, self.idle = Resampler.of(chosen, choice.resampling), 0
        self.ranges = RangeScanner(container, chosen, choice.ranges)
        self._lengths = undeclared_lengths(chosen)
        reward, terminal = scalar_leaf(container, REWARD), scalar_leaf(container, TERMINAL)
        extra = [leaf for leaf in (reward, terminal, choice.success, *choice.order) if leaf is not None]
        extra += [*flag_leaves(container), *self._lengths.values()]
        leaves = [leaf for leaf, _ in chosen.actions] + extra
        self.leaves = tuple({leaf.path: leaf for leaf in (*leaves, *self.ranges.leaves)}.values())
        self._ending = [leaf.path for leaf in leaves if leaf.path == REWARD or leaf not in extra]
        self.ends: Counter[str] = Counter()
        self.borders = Borders()
        self.unreadable, self.reason = 0, ""
        self.lengths: dict[str, list[int]] = {key: [] for key in self._lengths}
        self.returns: list[float | None] = []
        self.successes: list[bool] = []
        self.order: list[list[int]] = []

    def add(self, item: RawItem) -> None:
        """Add an episode, or those that cannot be read."""
        episode, error = item.episode, item.error
        if episode is not None:
            borders = borders_of(episode)
            self.borders = add_borders([self.borders, borders])
            if borders.inside and not self._choice.ignore_borders:
                episode, error = None, EpisodeError(borders.reason)
        if episode is None:
            self.unreadable += item.count
            self.reason = self.reason or f"record {item.ordinal}: {error}"
            self._add_asked(None, item.count)
            return
        self._add_asked(episode, 1)
        if episode.num_timesteps:
            self._add_lengths(episode)
            kept, idle = (episode, 0) if self._resampler is None else self._resampler.resampled(episode)
            self._add_end(episode, kept.num_timesteps)
            self.ranges.add(kept)
            self.idle += idle

    def _add_lengths(self, episode: RldsEpisode) -> None:
        for key, leaf in self._lengths.items():
            found = [*self.lengths[key], *episode.tensors[leaf.path].tolist()]
            self.lengths[key] = [min(found), max(found)]

    def _add_asked(self, episode: RldsEpisode | None, count: int) -> None:
        if self._choice.returns:
            self.returns += [_return(episode)] * count
        if self._choice.success is not None:
            self.successes += [episode is not None and succeeded(episode, self._choice.success)] * count
        if self._choice.order:
            self.order += [_numbers(episode, self._choice.order)] * count

    def _add_end(self, episode: RldsEpisode, length: int) -> None:
        """Add how an episode ends of which so many timesteps are left."""
        last = [episode.tensors[path] for path in self._ending]
        zero = all(not np.any(values[-1]) for values in last)
        terminal = is_terminal(episode)
        self.ends["episodes"] += 1
        self.ends["zero"] += zero
        self.ends["terminal"] += terminal
        self.ends["zero_terminal"] += zero and terminal
        self.ends["rotated"] += not zero and _is_rotated(last)
        if (short := {1: "ones", 2: "twos"}.get(length)) is not None:
            self.ends[short] += 1
            self.ends[f"terminal_{short}"] += terminal


def _return(episode: RldsEpisode | None) -> float | None:
    """The return of an episode; None where it cannot be told or is not finite."""
    try:
        reward = None if episode is None else per_timestep(episode, REWARD)
    except EpisodeError:
        return None
    total = float("nan") if reward is None else episode_return(reward)
    return total if np.isfinite(total) else None


def _numbers(episode: RldsEpisode | None, leaves: Sequence[Leaf]) -> list[int]:
    """The numbers of an episode; empty where it has none."""
    if episode is None:
        return []
    return [int(np.asarray(episode.episode[leaf.path]).reshape(-1)[0]) for leaf in leaves]


def _is_rotated(columns: Sequence[NDArray[Any]]) -> bool:
    """Whether the last timestep repeats the first, and the second does not."""
    if len(columns[0]) < 3:
        return False
    same = all(np.array_equal(values[-1], values[0]) for values in columns)
    return same and not all(np.array_equal(values[1], values[0]) for values in columns)
