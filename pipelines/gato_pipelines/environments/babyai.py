"""BabyAI levels (minigrid): what is seen of a room, and an instruction."""

import contextlib
import importlib
import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from gato_pipelines.environments.babyai_bot import bot_errors, bot_player
from gato_pipelines.environments.chance import Chance, draw_seed
from gato_pipelines.environments.environment import (
    Environment,
    Frame,
    Observation,
    Player,
    Step,
    chosen,
    discrete_action,
    image_leaf,
    one_of,
)
from gato_pipelines.environments.installed import find_name, import_simulator
from gato_pipelines.rlds.features import Kind, Leaf

NUM_ACTIONS = 7
SIDE = 112
"""Pixels on a side of what is seen: 7 cells of 16, so that a patch of a model is a cell."""
_TILE = 32
"""Pixels on a side of a cell of a picture."""

_INSTALL = 'pip install "gato-data[simulators]"'
_ID = re.compile(r"BabyAI-(?P<level>\w+)-v\d+")
_IMAGE, _DIRECTION, _MISSION = (f"steps/observation/{name}" for name in ("image", "direction", "mission"))
_DIRECTIONS = Leaf(path=_DIRECTION, kind=Kind.TENSOR, dtype="int64", value_range="[0, 3]")
_CELLS = Leaf(
    path=_IMAGE,
    kind=Kind.TENSOR,
    dtype="uint8",
    shape=(7, 7, 3),
    description="Object, colour and state of every cell that is seen.",
)
_MISSIONS = Leaf(path=_MISSION, kind=Kind.TEXT, dtype="string")


class BabyAI(Environment):
    """One level, with a new layout in every episode; with `pixels` the cells are seen in a picture."""

    knows_success = True
    expert_policy = "minigrid's BabyAIBot"
    actions = (discrete_action(NUM_ACTIONS),)

    def __init__(self, level: str, *, pixels: bool = False) -> None:
        """Make a level, named as `find_level` does."""
        self._pixels = pixels
        self._done: int | None = None
        self.observations = (_DIRECTIONS, image_leaf(_IMAGE, SIDE, SIDE) if pixels else _CELLS, _MISSIONS)
        found = levels()
        gymnasium = importlib.import_module("gymnasium")
        self.name = level
        self.env = gymnasium.make(found[level], disable_env_checker=True)
        self.gives_up = bot_errors()

    @property
    def title(self) -> str:
        """The mission."""
        return str(self.env.unwrapped.mission)

    def reset(self, chance: Chance) -> Observation:
        """Draw a layout."""
        self._done = None
        with contextlib.redirect_stdout(io.StringIO()):  # tells of every layout that it discards
            observation, _ = self.env.reset(seed=draw_seed(chance.rng))
        return self._seen(observation)

    def step(self, action: int) -> Step:
        """Act once; a level is solved where it gives a reward."""
        number = chosen(action, NUM_ACTIONS, self.name)
        self._done = number
        observation, reward, ended, truncated, _ = self.env.step(number)
        over = bool(ended or truncated)
        return Step(number, self._seen(observation), float(reward), over, bool(ended), bool(reward > 0))

    def random(self, rng: np.random.Generator) -> Player:
        """Any action, all alike."""
        return one_of(NUM_ACTIONS, rng)

    def expert(self, rng: np.random.Generator) -> Player:
        """The bot, which sees the whole level; not every layout can it solve."""
        return bot_player(self.env, lambda: self._done)

    def frame(self) -> Frame:
        """The whole level, what is seen of it lit up."""
        return np.asarray(self.env.unwrapped.get_frame(highlight=True, tile_size=_TILE), dtype=np.uint8)

    def close(self) -> None:
        """Give the level back."""
        self.env.close()

    def _seen(self, observation: Mapping[str, Any]) -> Observation:
        cells = (
            self.env.unwrapped.get_frame(tile_size=SIDE // 7, agent_pov=True) if self._pixels else observation["image"]
        )
        image = np.array(cells, dtype=np.uint8)
        return {_IMAGE: image, _DIRECTION: observation["direction"], _MISSION: str(observation["mission"])}


def find_level(name: str) -> str:
    """The level of a name: as minigrid writes it, "GoToLocal", or as JAT does, "go-to-local".

    Raises:
        SettingError: there is none.
        MissingPackageError: minigrid is not installed.
    """
    match = _ID.fullmatch(name)
    return find_name(match["level"] if match else name, list(levels()), "BabyAI level")


def levels() -> dict[str, str]:
    """Names of all levels, and the ids of their environments.

    Raises:
        MissingPackageError: minigrid is not installed.
    """
    import_simulator("minigrid", "BabyAI levels", _INSTALL)
    matches = map(_ID.fullmatch, importlib.import_module("gymnasium").registry)
    return {match["level"]: match[0] for match in matches if match}
