"""Procgen games, played at random: no expert of any of them is published as a package."""

import importlib.metadata
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gato_pipelines.recorders.recorder import (
    Player,
    SimulatorRecorder,
    check_steps,
    name_setting,
    seed_setting,
    steps_setting,
)
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.simulators.procgen import NUM_ACTIONS, Procgen, find_game

POLICY = "a random player, no expert"


@dataclass(frozen=True)
class Recorder(SimulatorRecorder[Procgen]):
    """Play a Procgen game at random.

    Every episode has a new level. No expert of these games is published as a package.
    """

    example: ClassVar[str] = "gato-data record procgen --game coinrun --out coinrun-rlds"

    game: str = name_setting("Name of the game, such as coinrun.")
    seed: int = seed_setting()
    max_steps: int = steps_setting(1000)

    def __post_init__(self) -> None:
        check_steps(self.max_steps)

    @property
    def max_actions(self) -> int:
        """As set."""
        return self.max_steps

    def simulator(self) -> Procgen:
        """The game."""
        return Procgen(find_game(self.game))

    def player(self, simulator: Procgen, rng: np.random.Generator) -> Player:
        """Any action, all alike."""
        return lambda seen: int(rng.integers(NUM_ACTIONS))

    def card(self, simulator: Procgen) -> DatasetCard:
        """What the recording says of itself."""
        game, version = find_game(self.game), importlib.metadata.version("procgen-mirror")
        return DatasetCard(
            name="procgen",
            config=game,
            version="1.0.0",
            features=self.features(simulator),
            description=(
                f"Procgen's {game}, easy levels, in procgen-mirror {version}, played by {POLICY}. Every timestep has "
                "its action; the final observation is not known."
            ),
            licence="Recorded with procgen (MIT).",
            module=__name__,
            metadata={
                "game": game,
                "policy": POLICY,
                "seed": self.seed,
                "max_steps": self.max_steps,
                "procgen_mirror": version,
            },
        )
