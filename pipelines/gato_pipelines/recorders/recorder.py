"""What a recorder is: a player in a simulator, whose episodes are written as RLDS.

A recorder is one module here that holds one frozen dataclass named `Recorder`. Its fields are its
settings and become command-line options; its documentation is the command's help.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from itertools import count, islice
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

from gato_data.errors import SettingError
from gato_data.settings import setting
from gato_pipelines.environments.chance import Chance, check_seed
from gato_pipelines.environments.environment import Environment
from gato_pipelines.environments.play import Actor as Playing
from gato_pipelines.environments.play import PlayedEpisode, play_episodes
from gato_pipelines.environments.players import NoisyExpert, Players, Who
from gato_pipelines.recorders.recording import (
    Recording,
    as_rlds,
    kept,
    recording_features,
    write_recording,
)
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features

Actor: TypeAlias = Literal["auto", "expert", "random"]
EnvironmentT = TypeVar("EnvironmentT", bound=Environment)


@dataclass(frozen=True, slots=True)
class Other:
    """Who acts in an expert's place in some timesteps.

    Attributes:
        actor: acts.
        name: for people.
    """

    actor: Playing
    name: str


class EnvironmentRecorder(ABC, Generic[EnvironmentT]):
    """Records what an expert or chance does in an environment.

    The fields are settings; the first one says what is played, and all but the seed, the actor and the
    noise make the same environment again.
    """

    example: ClassVar[str] = ""
    clips_rewards: ClassVar[bool] = False
    """Whether rewards are recorded between -1 and 1."""

    @property
    @abstractmethod
    def seed(self) -> int:
        """Of all that is random, 0 to 2**31 - 1."""

    @property
    def shown(self) -> str:
        """What is played, in a few words."""
        return str(getattr(self, fields(self)[0].name))  # type: ignore[arg-type]

    @property
    @abstractmethod
    def actor(self) -> Actor:
        """Who plays."""

    @property
    def noise(self) -> float:
        """Share of the timesteps in which another acts in the expert's place, in [0, 1]; what it wanted is recorded."""
        return 0.0

    @abstractmethod
    def environment(self, *, draws: bool = False, recorded: bool = False) -> EnvironmentT:
        """What is played in.

        Args:
            draws: frames are wanted of it.
            recorded: episodes may depend on those before them, as they do in recordings of some.

        Raises:
            SettingError: there is nothing of that name.
            MissingPackageError: the simulator is not installed.
        """

    @abstractmethod
    def card(self, environment: EnvironmentT, policy: str) -> DatasetCard:
        """What a recording says of itself.

        Args:
            environment: as it is made here.
            policy: who played, in a few words.
        """

    def features(self, environment: EnvironmentT) -> Features:
        """The features of a recording."""
        return recording_features(environment.actions, environment.observations, success=environment.knows_success)

    def who(self, environment: EnvironmentT) -> Who:
        """Who plays: where the actor is left open an expert, if one is known.

        Raises:
            SettingError: an expert is wanted and none is known.
        """
        if self.actor == "auto":
            return "expert" if environment.expert_policy else "random"
        if self.actor == "expert" and not environment.expert_policy:
            raise SettingError(f"no expert of {environment.name} is known here: --actor random plays it")
        return self.actor

    def _policy(self, environment: EnvironmentT, who: Who, other: "Other | None") -> str:
        if who == "expert":
            by = other.name if other else "chance"
            return environment.expert_policy + (
                f", disturbed by {by} in {100 * self.noise:g} % of the timesteps" if self.noise else ""
            )
        if self.noise:
            raise SettingError(f"noise {self.noise:g} disturbs an expert, and {environment.name} is played by chance")
        return environment.random_policy

    def record(
        self,
        episodes: int,
        out: Path,
        *,
        shards: int = 1,
        overwrite: bool = False,
        progress: Callable[[int, int], None] | None = None,
        noise_by: "Other | None" = None,
    ) -> Recording:
        """Play and write the episodes as RLDS; `out` itself becomes the dataset's version folder.

        The same settings give the same bytes. The last timestep of an episode holds the final
        observation only, unless the environment hides it.

        Args:
            episodes: how many.
            out: a new or empty folder, or one that an earlier call left unfinished.
            shards: files to spread the episodes over.
            overwrite: replace a finished recording in `out`.
            progress: called after every episode with the episodes and timesteps so far.
            noise_by: who acts in the share `noise` of the timesteps; None for chance.

        Raises:
            SettingError: there is nothing of that name, or a number is out of range.
            EpisodeError: what the environment shows is not what `noise_by` takes.
            MissingPackageError: the simulator is not installed.
            OutputError: `out` holds something else, or a finished recording.
        """
        check_seed(self.seed)
        environment = self.environment(recorded=True)
        try:
            who = self.who(environment)
            card = self.card(environment, self._policy(environment, who, noise_by))
            actor: Playing = Players(who)
            if self.noise:
                actor = NoisyExpert(noise_by.actor if noise_by else Players("random"), self.noise)
            played = islice(self.episodes(environment, actor, card.features), episodes)
            return write_recording(out, card, played, episodes, shards=shards, overwrite=overwrite, progress=progress)
        finally:
            environment.close()

    def episodes(self, environment: EnvironmentT, actor: Playing, features: Features) -> Iterator[RldsEpisode]:
        """Play for ever; an episode does not depend on how many follow it."""
        for chance in self.chances():
            tries = 0
            while (play := self.play(environment, actor, chance)).gave_up:
                tries += 1
                self.check_tries(tries)
            yield self.episode(features, play, environment)

    def chances(self) -> Iterator[Chance]:
        """The random numbers of every episode."""
        return (Chance(self.seed, number) for number in count())

    def play(self, environment: EnvironmentT, actor: Playing, chance: Chance) -> PlayedEpisode:
        """One episode."""
        (play,) = play_episodes([environment], actor, [chance], keep=kept(environment.observations))
        return play

    def check_tries(self, tries: int) -> None:
        """Check how often the player gave up one episode.

        Raises:
            SettingError: too often.
        """

    def episode(self, features: Features, play: PlayedEpisode, environment: EnvironmentT) -> RldsEpisode:
        """One episode as it is written."""
        return as_rlds(features, play, shows_end=environment.shows_end, clips_rewards=self.clips_rewards)


def name_setting(text: str) -> Any:
    """The field that says what is played."""
    return setting(MISSING, text)


def seed_setting() -> Any:
    """The field `seed`; options of all recorders stand around it."""
    return setting(0, "Of all that is random.", minimum=0)


def actor_setting(default: Actor = "expert") -> Any:
    """The field `actor`."""
    return setting(default, "Who plays.")


def noise_setting() -> Any:
    """The field `noise`, of recorders whose expert plays on from wherever it is."""
    return setting(
        0.0,
        "Share of timesteps in which chance acts and the expert's action is recorded: shows ways back.",
        minimum=0,
        maximum=1,
    )


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


def check_noise(noise: float) -> None:
    """Check a setting `noise`.

    Raises:
        SettingError: it is no share.
    """
    if not 0 <= noise <= 1:
        raise SettingError(f"noise in a share of {noise:g} of the timesteps: 0 to 1 was wanted")
