"""Sokoban rooms (gym-sokoban), solved by search with the fewest pushes."""

import importlib.metadata
from dataclasses import dataclass
from typing import ClassVar

from gato_data.errors import SettingError
from gato_data.settings import setting
from gato_pipelines.environments.sokoban import CELLS, Sokoban, rooms
from gato_pipelines.recorders.recorder import Actor, EnvironmentRecorder, actor_setting, seed_setting, steps_setting
from gato_pipelines.rlds.card import DatasetCard

MAX_BOXES = 5


@dataclass(frozen=True)
class Recorder(EnvironmentRecorder[Sokoban]):
    """Solve Sokoban rooms with the fewest pushes.

    Every episode has a new room.
    """

    example: ClassVar[str] = "gato-data record sokoban --boxes 2 --out sokoban-rlds"

    boxes: int = setting(4, "Boxes in a room of 10x10 cells.", minimum=1)
    seed: int = seed_setting()
    max_steps: int = steps_setting(120)
    actor: Actor = actor_setting()

    def __post_init__(self) -> None:
        if not 1 <= self.boxes <= MAX_BOXES or self.max_steps < 1:
            raise SettingError(
                f"{self.boxes} boxes and at most {self.max_steps} actions: 1 to {MAX_BOXES}, and 1 or more were wanted"
            )

    @property
    def shown(self) -> str:
        """Rooms, and how many boxes they have."""
        return rooms(self.boxes)

    def environment(self, *, draws: bool = False, recorded: bool = False) -> Sokoban:
        """The rooms; a solution that is longer than an episode is cut, and the episode no success."""
        return Sokoban(self.boxes, self.max_steps)

    def card(self, environment: Sokoban, policy: str) -> DatasetCard:
        """What the recording says of itself."""
        version = importlib.metadata.version("gym-sokoban")
        deed = "solved" if policy == environment.expert_policy else "played"
        return DatasetCard(
            name="sokoban",
            config=f"boxes_{self.boxes}",
            version="1.0.0",
            features=self.features(environment),
            description=(
                f"Rooms of {CELLS}x{CELLS} cells with {self.boxes} boxes in gym-sokoban {version}, {deed} by {policy}. "
                "The last timestep of an episode holds the final observation only."
            ),
            licence="Recorded with gym-sokoban (MIT).",
            module=__name__,
            metadata={
                "boxes": self.boxes,
                "policy": policy,
                "seed": self.seed,
                "max_steps": self.max_steps,
                "gym_sokoban": version,
            },
        )
