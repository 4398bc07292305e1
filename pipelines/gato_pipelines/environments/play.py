"""The one loop in which episodes are played: in one environment or in several, whoever acts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from time import perf_counter
from typing import Any, Protocol, TypeAlias

from gato_data.errors import EpisodeError
from gato_pipelines.environments.chance import Chance
from gato_pipelines.environments.environment import Environment, Observation, Step

GAVE_UP = object()
"""Stands for the action of an actor who cannot go on."""


@dataclass(frozen=True, slots=True)
class Disturbed:
    """What an actor wanted, where something else is done; an episode keeps what it wanted."""

    wanted: Any
    done: Any


@dataclass(slots=True)
class PlayedEpisode:
    """One episode while it is played and after: T actions and rewards.

    Attributes:
        number: of the episode.
        observations: what was kept of T + 1 of them, by feature path; none where none is kept.
        actions: what was done after each observation but the last, or wanted where that was `Disturbed`.
        rewards: what came of it.
        is_terminal: whether the episode ended in a terminal state rather than being cut.
        success: whether the task was solved at any time; None where the environment did not tell.
        gave_up: whether the actor could not go on.
        seconds: that the actor took; of several environments beside each other an equal share.
    """

    number: int
    observations: list[Observation] = field(default_factory=list)
    actions: list[Any] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    is_terminal: bool = False
    success: bool | None = None
    gave_up: bool = False
    seconds: float = 0.0

    def add(self, step: Step) -> None:
        """One action and what came of it."""
        self.actions.append(step.action)
        self.rewards.append(step.reward)
        self.is_terminal = step.is_terminal
        if step.success is not None:
            self.success = bool(self.success or step.success)


class Actor(Protocol):
    """Who acts in several environments at once."""

    def begin(self, seat: int, environment: Environment, chance: Chance) -> None:
        """An episode has begun in environment number `seat`."""

    def act(self, seen: Sequence[Observation | None]) -> Sequence[Any]:
        """An action for every environment; of one that rests (None) it is not looked at. `GAVE_UP` ends an episode."""


Keep: TypeAlias = Callable[[Observation], Observation]
"""What is kept of an observation when the next one comes."""
Watch: TypeAlias = Callable[[Environment, PlayedEpisode], None]
"""Called at the beginning of an episode and after every action."""


@dataclass(slots=True)
class _Seat:
    environment: Environment
    episode: PlayedEpisode
    place: int
    seen: Observation


def play_episodes(
    environments: Sequence[Environment],
    actor: Actor,
    chances: Iterable[Chance],
    *,
    keep: Keep | None = None,
    watch: Watch | None = None,
) -> Iterator[PlayedEpisode]:
    """Play an episode for every chance and yield them in that order, whatever the number of environments.

    Environments go in lockstep; one whose episode is over begins the next one.

    Raises:
        EpisodeError: a reward is not finite.
    """
    waiting = enumerate(chances)
    seats: list[_Seat | None] = [None] * len(environments)
    over: dict[int, PlayedEpisode] = {}
    first = 0
    while True:
        for number, environment in enumerate(environments):
            if seats[number] is None and (after := next(waiting, None)) is not None:
                seats[number] = began = _begin(environment, *after, keep)
                actor.begin(number, environment, after[1])
                if watch:
                    watch(environment, began.episode)
        if not any(seats):
            return
        actions = _timed(actor, seats)
        for number, (seat, action) in enumerate(zip(seats, actions, strict=True)):
            if seat and _step(seat, action, keep, watch):
                over[seat.place], seats[number] = seat.episode, None
        while first in over:
            yield over.pop(first)
            first += 1


def _timed(actor: Actor, seats: Sequence[_Seat | None]) -> Sequence[Any]:
    """What the actor does; the time goes to the episodes."""
    playing = [seat.episode for seat in seats if seat]
    start = perf_counter()
    actions = actor.act([seat.seen if seat else None for seat in seats])
    for episode in playing:
        episode.seconds += (perf_counter() - start) / len(playing)
    return actions


def _begin(environment: Environment, place: int, chance: Chance, keep: Keep | None) -> _Seat:
    seen = environment.reset(chance)
    episode = PlayedEpisode(chance.number, success=False if environment.knows_success else None)
    if keep:
        episode.observations.append(keep(seen))
    return _Seat(environment, episode, place, seen)


def _step(seat: _Seat, action: Any, keep: Keep | None, watch: Watch | None) -> bool:
    """Acts; returns whether the episode is over."""
    episode, environment = seat.episode, seat.environment
    if action is GAVE_UP:
        episode.gave_up = True
        return True
    if isinstance(action, Disturbed):
        step = replace(environment.step(action.done), action=environment.applied(action.wanted))
    else:
        step = environment.step(action)
    if not isfinite(step.reward):
        raise EpisodeError(
            f"{environment.name} gave a reward of {step.reward} for action {len(episode.actions)} of episode "
            f"{episode.number}: a finite number is wanted"
        )
    episode.add(step)
    seat.seen = step.observation
    if keep:
        episode.observations.append(keep(step.observation))
    if watch:
        watch(environment, episode)
    return step.is_over or len(episode.actions) == environment.max_actions
