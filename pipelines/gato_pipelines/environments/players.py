"""An environment's own players as an actor: its expert, or chance."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from gato_pipelines.environments.chance import Chance
from gato_pipelines.environments.environment import Environment, Observation, Player
from gato_pipelines.environments.play import GAVE_UP

Who: TypeAlias = Literal["expert", "random"]


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
