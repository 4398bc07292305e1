"""What a recorder is: a player in a simulator, whose episodes are written as RLDS.

A recorder is one module here that holds one frozen dataclass named `Recorder`. Its fields are its
settings and become command-line options; its documentation is the command's help.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from itertools import count, islice
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np

from gato_data.errors import SettingError
from gato_data.settings import setting
from gato_pipelines.recorders.recording import (
    PlayedEpisode,
    Recording,
    as_rlds,
    episode_rng,
    recording_features,
    write_recording,
)
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features
from gato_pipelines.simulators.simulator import Observation, Simulator

Player: TypeAlias = Callable[[Observation], Any]
"""Sees what there is to see, and returns what to do; made for an episode that has just begun."""
SimulatorT = TypeVar("SimulatorT", bound=Simulator)


class GaveUpError(Exception):
    """A player cannot go on with an episode, which is left out."""


class SimulatorRecorder(ABC, Generic[SimulatorT]):
    """Records what a player does in a simulator; the fields are settings, the first one says what is played."""

    example: ClassVar[str] = ""
    clips_rewards: ClassVar[bool] = False
    """Whether rewards are recorded between -1 and 1."""
    gives_up: tuple[type[Exception], ...] = (GaveUpError,)
    """What a player raises where it cannot go on."""

    @property
    @abstractmethod
    def seed(self) -> int:
        """Of all that is random, 0 to 2**31 - 1."""

    @property
    def shown(self) -> str:
        """What is played, in a few words."""
        return str(getattr(self, fields(self)[0].name))  # type: ignore[arg-type]

    @property
    def max_actions(self) -> int | None:
        """Actions after which an episode is cut; None where the simulator cuts it."""
        return None

    @abstractmethod
    def simulator(self) -> SimulatorT:
        """What is played in.

        Raises:
            SettingError: there is nothing of that name.
            MissingPackageError: the simulator is not installed.
        """

    @abstractmethod
    def player(self, simulator: SimulatorT, rng: np.random.Generator) -> Player:
        """Who plays an episode that has just begun."""

    @abstractmethod
    def card(self, simulator: SimulatorT) -> DatasetCard:
        """What the recording says of itself; its metadata has the "policy"."""

    def features(self, simulator: SimulatorT) -> Features:
        """The features of the recording."""
        return recording_features(simulator.action, simulator.observations, success=simulator.knows_success)

    def record(
        self,
        episodes: int,
        out: Path,
        *,
        shards: int = 1,
        overwrite: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Recording:
        """Play and write the episodes as RLDS; `out` itself becomes the dataset's version folder.

        The same settings give the same bytes. The last timestep of an episode holds the final
        observation only, unless the simulator hides it.

        Args:
            episodes: how many.
            out: a new or empty folder, or one that an earlier call left unfinished.
            shards: files to spread the episodes over.
            overwrite: replace a finished recording in `out`.
            progress: called after every episode with the episodes and timesteps so far.

        Raises:
            SettingError: there is nothing of that name, or a number is out of range.
            MissingPackageError: the simulator is not installed.
            OutputError: `out` holds something else, or a finished recording.
        """
        simulator = self.simulator()
        try:
            card = self.card(simulator)
            played = islice(self.episodes(simulator, card.features), episodes)
            return write_recording(out, card, played, episodes, shards=shards, overwrite=overwrite, progress=progress)
        finally:
            simulator.close()

    def episodes(self, simulator: SimulatorT, features: Features) -> Iterator[RldsEpisode]:
        """Play for ever; an episode does not depend on how many follow it."""
        for number, rng in enumerate(self.randoms()):
            tries = 0
            while (play := self.play(simulator, rng)) is None:
                tries += 1
                self.check_tries(tries)
            yield self.episode(features, number, play)

    def randoms(self) -> Iterator[np.random.Generator]:
        """The random numbers of every episode."""
        return (episode_rng(self.seed, number) for number in count())

    def check_tries(self, tries: int) -> None:
        """Check how often the player gave up one episode.

        Raises:
            SettingError: too often.
        """

    def episode(self, features: Features, number: int, play: PlayedEpisode) -> RldsEpisode:
        """One episode as it is written."""
        return as_rlds(features, number, play)

    def play(self, simulator: SimulatorT, rng: np.random.Generator) -> PlayedEpisode | None:
        """One episode; None where the player gives it up."""
        play = PlayedEpisode([simulator.reset(rng)], success=False if simulator.knows_success else None)
        try:
            act = self.player(simulator, rng)
            while self.max_actions is None or len(play.actions) < self.max_actions:
                step = simulator.step(act(play.observations[-1]))
                play.add(step)
                if step.is_over:
                    break
        except self.gives_up:
            return None
        if not simulator.shows_end:
            play.observations.pop()
        if self.clips_rewards:
            play.rewards = np.clip(play.rewards, -1, 1).tolist()
        return play


def name_setting(text: str) -> Any:
    """The field that says what is played."""
    return setting(MISSING, text)


def seed_setting() -> Any:
    """The field `seed`; options of all recorders stand around it."""
    return setting(0, "Of all that is random.", minimum=0)


def steps_setting(steps: int) -> Any:
    """The field `max_steps`."""
    return setting(steps, "Actions after which an episode is cut.", minimum=1)


def check_steps(steps: int) -> None:
    """Check a setting `max_steps`.

    Raises:
        SettingError: no action is left.
    """
    if steps < 1:
        raise SettingError(f"an episode of at most {steps} actions: 1 or more were wanted")
