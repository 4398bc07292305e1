"""A policy as an actor: what is asked of it, and how its seeds are drawn."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from gato_data.errors import EpisodeError
from gato_pipelines.control.selection import field_name
from gato_pipelines.environments.chance import Chance, draw_seed
from gato_pipelines.environments.environment import ACTION, Environment, Observation
from gato_pipelines.rollout.holding import Holding
from gato_pipelines.rollout.settings import RolloutSettings
from gato_schemas.selection import Resampling

PLAYED, DRAWN = (1,), (2,)
"""Streams of random numbers: what the environments of rollouts are drawn from, which no recording
has, and the draws of a policy."""


class Policy(Protocol):
    """What a rollout asks of a policy."""

    def reset(
        self,
        *,
        task: str | None = None,
        prompt: str | None = None,
        environments: int = 1,
        history: int | Literal["all"] | None = None,
        temperature: float = 1.0,
        seed: int = 0,
        memory: Any = "half-cut",
    ) -> None:
        """Begin to play a task in so many environments."""

    def restart(self, index: int, seed: int) -> None:
        """Begin another episode in one of them."""

    def act(self, observation: Any) -> Any:
        """By action field a value, for each observation by field name; None for an environment that rests."""


def policy_name(identity: Mapping[str, Any]) -> str:
    """A policy in a few words, by what tells it from others."""
    return f"a Gato policy ({identity['source']}, step {identity['step']})"


class PolicyActor:
    """A policy in one task: observations to it by the names of fields, its actions to environments."""

    def __init__(
        self,
        policy: Policy,
        task: str,
        environments: int,
        settings: RolloutSettings,
        resampling: Resampling | None = None,
    ) -> None:
        """Begin to play.

        Args:
            policy: who plays.
            task: its name of what is played.
            environments: how many beside each other.
            settings: how it decides.
            resampling: which timesteps of a recording the task was learned from; None where from all.
        """
        self._policy, self._task = policy, task
        self._holding = Holding(resampling if settings.hold else None)
        self._environments: dict[int, Environment] = {}
        self._names: dict[str, str] = {}
        policy.reset(
            task=task,
            prompt=settings.prompt,
            environments=environments,
            history=settings.most_history,
            temperature=settings.temperature,
            seed=settings.seed,
            memory=settings.memory,
        )

    def begin(self, seat: int, environment: Environment, chance: Chance) -> None:
        """Begin another episode with draws of its own."""
        self._environments[seat] = environment
        self._names = {leaf.path: field_name(leaf, "observation") for leaf in environment.observations}
        self._holding.begin(seat)
        self._policy.restart(seat, draw_seed(Chance(chance.seed, chance.number, DRAWN).rng))

    def act(self, seen: Sequence[Observation | None]) -> list[Any]:
        """What the policy does in each environment.

        Raises:
            EpisodeError: an observation or an action is not what the other side takes.
        """
        for seat, one in enumerate(seen):
            if one is None:
                self._holding.begin(seat)
        names, decides = self._names, self._holding.decides
        given = [
            {names[path]: value for path, value in one.items()} if one is not None and decides(seat) else None
            for seat, one in enumerate(seen)
        ]
        for seat, action in enumerate(self._policy.act(given) if any(each is not None for each in given) else ()):
            if action is not None:
                self._holding.decided(seat, action)
        return [None if one is None else self._applied(seat, self._holding.done(seat)) for seat, one in enumerate(seen)]

    def _applied(self, seat: int, action: Mapping[str, Any]) -> Any:
        environment = self._environments[seat]
        names = {leaf.path: field_name(leaf, "action") for leaf in environment.actions}
        if len(names) == len(action) == 1 and ACTION in names:
            return next(iter(action.values()))
        if missing := [name for name in names.values() if name not in action]:
            raise EpisodeError(
                f"{environment.name} takes the action {missing[0]!r}, task {self._task} has {', '.join(action)}"
            )
        if extra := [name for name in action if name not in names.values()]:
            raise EpisodeError(f"task {self._task} has the action {extra[0]!r}, which {environment.name} does not take")
        return {path: action[name] for path, name in names.items()}
