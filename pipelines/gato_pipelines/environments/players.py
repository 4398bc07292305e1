"""An environment's own players as an actor: its expert, chance, or an expert whom chance disturbs."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from gato_pipelines.environments.chance import Chance
from gato_pipelines.environments.environment import Environment, Observation, Player
from gato_pipelines.environments.play import GAVE_UP, Disturbed

Who: TypeAlias = Literal["expert", "random"]
_STRETCH = 10
"""Actions of a disturbance, on average."""


class Players:
    """One player for every environment."""

    def __init__(self, who: Who, noise: float = 0) -> None:
        """Choose who plays.

        Args:
            who: the expert, or chance.
            noise: share of its actions in whose place chance acts, in [0, 1): in stretches, from which an
                expert shows the way back.
        """
        self._who, self._noise = who, noise
        self._players: dict[int, tuple[Environment, Player | None]] = {}

    def begin(self, seat: int, environment: Environment, chance: Chance) -> None:
        """A player for an episode that has just begun."""
        make = environment.expert if self._who == "expert" else environment.random
        try:
            player = make(chance.rng)
            if self._noise:
                player = _disturbed(player, environment.random(chance.rng), self._noise, chance.rng)
            self._players[seat] = environment, player
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


def _disturbed(player: Player, random: Player, noise: float, rng: np.random.Generator) -> Player:
    """A player in whose place chance acts for stretches whose lengths are geometric.

    Of one stretch of `_STRETCH` actions and the 1 / begin that lie before it, chance takes the share
    `_STRETCH` / (`_STRETCH` + 1 / begin), which is `noise`.
    """
    begin, end = noise / (1 - noise) / _STRETCH, 1 / _STRETCH
    is_chance = False

    def act(seen: Observation) -> Any:
        nonlocal is_chance
        wanted = player(seen)
        is_chance = rng.random() < (1 - end if is_chance else begin)
        return Disturbed(wanted, random(seen)) if is_chance else wanted

    return act
