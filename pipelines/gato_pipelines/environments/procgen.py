"""Procgen games, a new level every episode.

procgen-mirror and gym3 declare numpy below 2 but run with numpy 2; pip installs them beside
gato-data with --no-deps only, so that they are in no extra.
"""

import contextlib
import io
from typing import Any

import numpy as np

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

NUM_ACTIONS = 15

_INSTALL = (
    "pip install --no-deps procgen-mirror==0.10.7 gym3==0.3.3 and pip install cffi filelock glfw gym imageio moderngl "
    "(they declare numpy below 2, which pip refuses beside gato-data, but run with numpy 2)"
)
_IMAGE = "steps/observation/image"


class Procgen(Environment):
    """One game; it begins the next episode at once and hides the final observation."""

    shows_end = False
    knows_success = True
    random_policy = "a random player, no expert"
    actions = (discrete_action(NUM_ACTIONS, "int32"),)
    observations = (image_leaf(_IMAGE, 64, 64),)

    def __init__(self, game: str, *, max_steps: int | None = None) -> None:
        """Make a game, named as `find_game` does."""
        self.name, self.max_actions = game, max_steps
        self._env: Any = None

    def reset(self, chance: Chance) -> Observation:
        """Draw a level."""
        from procgen import ProcgenGym3Env

        level = {"start_level": draw_seed(chance.rng), "num_levels": 1, "rand_seed": draw_seed(chance.rng)}
        self._env = ProcgenGym3Env(num=1, env_name=self.name, distribution_mode="easy", **level)
        return self._seen(self._env.observe()[1])

    def step(self, action: int) -> Step:
        """Act once."""
        number = chosen(action, NUM_ACTIONS, self.name)
        self._env.act(np.array([number], dtype=np.int32))
        rewards, observation, first = self._env.observe()
        over = bool(first[0])
        solved = bool(over and self._env.get_info()[0]["prev_level_complete"])
        return Step(number, self._seen(observation), float(rewards[0]), over, over, solved)

    def random(self, rng: np.random.Generator) -> Player:
        """Any action, all alike."""
        return one_of(NUM_ACTIONS, rng)

    def frame(self) -> Frame:
        """What is seen."""
        return np.array(self._env.observe()[1]["rgb"][0])

    def _seen(self, observation: Any) -> Observation:
        return {_IMAGE: np.array(observation["rgb"][0])}


def find_game(name: str) -> str:
    """The game of a name such as "coinrun".

    Raises:
        SettingError: there is none.
        MissingPackageError: procgen-mirror or gym3 is not installed.
    """
    with contextlib.redirect_stderr(io.StringIO()):  # gym greets that it is not maintained
        names = list(import_simulator("procgen.env", "Procgen games", _INSTALL).ENV_NAMES)
    return find_name(name, names, "Procgen game")
