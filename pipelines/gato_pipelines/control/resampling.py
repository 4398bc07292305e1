"""Fewer timesteps than were recorded: `--every`, `--drop-idle`.

    timesteps    0 1 2 3 4 5 6 7 8        --every 3: the first of every three observes, the action is the last
    observed     0     3     6   8        of the three or their sum, rewards are added up; the final timestep
    acted        2     5     7   8        stays one of its own

An idle timestep is left out before that: nothing moves, and what is held (a gripper) is held as before. It is the
rule by which OpenVLA's set of LIBERO was made. Its reward goes to the timestep before it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import SettingError
from gato_pipelines.containers.container import REWARD
from gato_pipelines.control.selection import Selection
from gato_pipelines.rlds.episode import Frames, RldsEpisode
from gato_schemas.selection import Resampling


@dataclass(frozen=True)
class Resampler:
    """Makes episodes of fewer timesteps.

    Attributes:
        asked: how.
        observed: paths of what is taken from the timestep that observes.
        acted: paths of the actions, in token order.
    """

    asked: Resampling
    observed: frozenset[str]
    acted: tuple[str, ...]

    @classmethod
    def of(cls, chosen: Selection, asked: Resampling | None) -> "Resampler | None":
        """For the fields that become tokens; None where nothing is asked for.

        Raises:
            SettingError: an action cannot be added up, or is never idle.
        """
        if asked is None:
            return None
        option = "--drop-idle" if asked.idle_below is not None else "--every-actions sum"
        adds = asked.every > 1 and asked.actions == "sum"
        for leaf, spec in chosen.actions if adds or asked.idle_below is not None else ():
            if spec.modality != "continuous" or not leaf.dtype.startswith("float"):
                raise SettingError(f"action {spec.name!r} is {spec.modality} ({leaf.dtype}): {option} wants floats")
        numbers = sum(prod(spec.shape) for _, spec in chosen.actions if None not in spec.shape)
        if (adds or asked.idle_below is not None) and asked.held >= numbers > 0:
            raise SettingError(f"an action has {numbers} numbers, of which --held {asked.held} leaves none that moves")
        return cls(
            asked,
            frozenset(leaf.path for leaf, _ in chosen.observations),
            tuple(leaf.path for leaf, _ in chosen.actions),
        )

    def resampled(self, episode: RldsEpisode) -> tuple[RldsEpisode, int]:
        """The episode with fewer timesteps, and how many idle ones were left out."""
        last = episode.num_timesteps - 1
        if last < 1:
            return episode, 0
        idle = self._idle(episode)
        kept = np.flatnonzero(~idle[:last])
        begins = np.arange(0, len(kept), self.asked.every)
        starts = np.append(kept[begins], last)
        groups = np.append(0, starts[1:])
        ends = np.append(kept[np.minimum(begins + self.asked.every, len(kept)) - 1], last)
        tensors = dict(self._tensors(episode.tensors, starts, groups, ends))
        if self.asked.actions == "sum" and len(kept):
            tensors |= self._sums(episode.tensors, tensors, kept, begins)
        places = starts.tolist()
        found = replace(
            episode,
            num_timesteps=len(starts),
            tensors=tensors,
            images={path: [values[at] for at in places] for path, values in episode.images.items()},
            texts={path: [values[at] for at in places] for path, values in episode.texts.items()},
            frames={path: _SomeFrames(frames, frozenset(places)) for path, frames in episode.frames.items()},
        )
        return found, last - len(kept)

    def _tensors(
        self, tensors: Mapping[str, NDArray[Any]], starts: NDArray[Any], groups: NDArray[Any], ends: NDArray[Any]
    ) -> Iterator[tuple[str, NDArray[Any]]]:
        for path, values in tensors.items():
            if path in self.acted:
                yield path, values[ends]
            elif path in self.observed:
                yield path, values[starts]
            elif path == REWARD:
                yield path, np.add.reduceat(values, groups, axis=0, dtype=np.float64)
            else:  # flags, which count wherever they are set
                yield path, np.maximum.reduceat(values, groups, axis=0)

    def _sums(
        self, tensors: Mapping[str, NDArray[Any]], last: Mapping[str, NDArray[Any]], kept: NDArray[Any], begins: Any
    ) -> dict[str, NDArray[Any]]:
        """The actions added up, but for what is held and the final one."""
        found, held = {}, self.asked.held
        for path in reversed(self.acted):
            values = last[path].copy()
            flat, raw = values.reshape(len(values), -1), tensors[path][kept].reshape(len(kept), -1)
            moves = max(flat.shape[1] - held, 0)
            held -= flat.shape[1] - moves
            flat[:-1, :moves] = np.add.reduceat(raw[:, :moves], begins, axis=0, dtype=np.float64)
            found[path] = values
        return found

    def _idle(self, episode: RldsEpisode) -> NDArray[np.bool_]:
        """Which timesteps move nothing; those before the first that does whatever they hold."""
        steps = episode.num_timesteps
        if self.asked.idle_below is None:
            return np.zeros(steps, bool)
        columns = [np.asarray(episode.tensors[path], np.float64).reshape(steps, -1) for path in self.acted]
        actions = np.concatenate(columns, axis=1)
        moves, held = np.split(actions, [actions.shape[1] - self.asked.held], axis=1)
        still = np.linalg.norm(moves, axis=1) < self.asked.idle_below
        same = np.append(True, (held[1:] == held[:-1]).all(axis=1))
        first = steps if still.all() else int(np.argmin(still))
        idle: NDArray[np.bool_] = still & (same | (np.arange(steps) < first))
        return idle


@dataclass(frozen=True)
class _SomeFrames(Frames):
    """The frames of some timesteps; the video is decoded to its end all the same."""

    frames: Frames
    places: frozenset[int]

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (frame for at, frame in enumerate(self.frames) if at in self.places)

    def check(self) -> None:
        """Check that the video can be opened."""
        self.frames.check()
