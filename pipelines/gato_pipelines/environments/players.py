"""Who acts besides a policy: an environment's own players, and an expert in whose place somebody else acts at times."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from gato_pipelines.environments.chance import Chance
from gato_pipelines.environments.environment import Environment, Observation, Player
from gato_pipelines.environments.play import GAVE_UP, Actor, Disturbed

Who: TypeAlias = Literal["expert", "random"]
_STRETCH = 10
"""Actions of a disturbance, on average."""


class Players:
    """One player for every environment."""

    def __init__(self, who: Who) -> None:
        self._who = who
        self._players: dict[int, tuple[Environment, Player | None]] = {}

    def begin(self, seat: int, environment: Environment, chance: Chance) -> None:
        """A player for an episode that has just begun."""
        make = environment.expert if self._who == "expert" else environment.random
        try:
            self._players[seat] = environment, make(chance.rng)
        except environment.gives_up:
            self._players[seat] = environment, None

    def act(self, seen: Sequence[Observation | None]) -> list[Any]:
        """What each of them does."""
        return [None if one is None else self._act(seat, one) for seat, one in enumerate(seen)]

    def _act(self, seat: int, seen: Observation) -> Any:
        environment, player = self._players[seat]
        if player is None:
            return GAVE_UP
        try:
            return player(seen)
        except environment.gives_up:
            return GAVE_UP


class NoisyExpert:
    """The expert, in whose place another acts for stretches whose lengths are geometric; what it wanted is recorded.

    With chance as the other one this shows ways back (DART, Laskey et al. 2017); with a policy, what the expert would
    do where the policy gets to (DAgger, Ross et al. 2011).
    """

    def __init__(self, other: Actor, noise: float) -> None:
        """Choose who else acts.

        Args:
            other: who; it sees only the timesteps in which it acts.
            noise: share of the timesteps in which it does, in [0, 1].
        """
        # Stretches of 1 / end actions lie 1 / begin apart: a share of begin / (begin + end) = noise.
        self._begin = min(1.0, noise / (1 - noise) / _STRETCH) if noise < 1 else 1.0
        self._end = self._begin * (1 - noise) / noise if noise else 1.0
        self._expert, self._other = Players("expert"), other
        self._chances: dict[int, Chance] = {}
        self._is_other: dict[int, bool] = {}

    def begin(self, seat: int, environment: Environment, chance: Chance) -> None:
        """An episode has begun, in which the expert acts first."""
        self._expert.begin(seat, environment, chance)
        self._other.begin(seat, environment, chance)
        self._chances[seat], self._is_other[seat] = chance, False

    def act(self, seen: Sequence[Observation | None]) -> list[Any]:
        """What each of the experts does, or wants where the other one acts."""
        wanted = self._expert.act(seen)
        for seat, one in enumerate(seen):
            if one is not None and wanted[seat] is not GAVE_UP:
                limit = 1 - self._end if self._is_other[seat] else self._begin
                self._is_other[seat] = self._chances[seat].rng.random() < limit
        acts = [
            one is not None and wanted[seat] is not GAVE_UP and self._is_other[seat] for seat, one in enumerate(seen)
        ]
        if not any(acts):
            return wanted
        done = self._other.act([one if acts[seat] else None for seat, one in enumerate(seen)])
        return [Disturbed(wanted[seat], done[seat]) if acts[seat] else wanted[seat] for seat in range(len(seen))]
