"""Procgen games, played at random: no expert of any of them is published as a package."""

import importlib.metadata
from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.environments.procgen import Procgen, find_game
from gato_pipelines.recorders.recorder import (
    Actor,
    EnvironmentRecorder,
    actor_setting,
    check_steps,
    name_setting,
    seed_setting,
    steps_setting,
)
from gato_pipelines.rlds.card import DatasetCard


@dataclass(frozen=True)
class Recorder(EnvironmentRecorder[Procgen]):
    """Play a Procgen game at random.

    Every episode has a new level. No expert of these games is published as a package.
    """

    example: ClassVar[str] = "gato-data record procgen --game coinrun --out coinrun-rlds"

    game: str = name_setting("Name of the game, such as coinrun.")
    seed: int = seed_setting()
    max_steps: int = steps_setting(1000)
    actor: Actor = actor_setting("random")

    def __post_init__(self) -> None:
        check_steps(self.max_steps)

    def environment(self, *, draws: bool = False, recorded: bool = False) -> Procgen:
        """The game."""
        return Procgen(find_game(self.game), max_steps=self.max_steps)

    def card(self, environment: Procgen, policy: str) -> DatasetCard:
        """What the recording says of itself."""
        game, version = environment.name, importlib.metadata.version("procgen-mirror")
        return DatasetCard(
            name="procgen",
            config=game,
            version="1.0.0",
            features=self.features(environment),
            description=(
                f"Procgen's {game}, easy levels, in procgen-mirror {version}, played by {policy}. Every timestep has "
                "its action; the final observation is not known."
            ),
            licence="Recorded with procgen (MIT).",
            module=__name__,
            metadata={
                "game": game,
                "policy": policy,
                "seed": self.seed,
                "max_steps": self.max_steps,
                "procgen_mirror": version,
            },
        )
