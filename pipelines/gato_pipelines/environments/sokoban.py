"""Sokoban rooms (gym-sokoban), a new one every episode."""

import contextlib
import io
import random
from typing import Any

import numpy as np

from gato_pipelines.environments.chance import Chance, draw_seed
from gato_pipelines.environments.environment import (
    Environment,
    Frame,
    GaveUpError,
    Observation,
    Player,
    Step,
    chosen,
    discrete_action,
    image_leaf,
    one_of,
)
from gato_pipelines.environments.sokoban_import import import_sokoban
from gato_pipelines.environments.sokoban_solver import solve

CELLS = 10
"""Cells on a side of a room, walls included; a cell is drawn with 16x16 pixels."""
NUM_ACTIONS = 9
_IMAGE = "steps/observation/image"


class Sokoban(Environment):
    """Rooms with so many boxes; after `max_steps` actions the simulator cuts an episode."""

    knows_success = True
    expert_policy = "a search for the fewest pushes"
    actions = (discrete_action(NUM_ACTIONS),)
    observations = (image_leaf(_IMAGE, CELLS * 16, CELLS * 16),)

    def __init__(self, boxes: int, max_steps: int) -> None:
        self.name = rooms(boxes)
        self.env = import_sokoban()(max_steps=max_steps, num_boxes=boxes, reset=False)

    def reset(self, chance: Chance) -> Observation:
        """Draw a room, as gym-sokoban does from the global random numbers of Python and numpy."""
        before, seed = (random.getstate(), np.random.get_state()), draw_seed(chance.rng)
        random.seed(seed)
        np.random.seed(seed)
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # tells of rooms that it discards
                return _seen(self.env.reset())
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])

    def step(self, action: int) -> Step:
        """Act once."""
        number = chosen(action, NUM_ACTIONS, self.name)
        image, reward, ended, info = self.env.step(number)
        solved = bool(ended and info["all_boxes_on_target"])
        return Step(number, _seen(image), float(reward), bool(ended), solved, solved)

    def random(self, rng: np.random.Generator) -> Player:
        """Any action, all alike."""
        return one_of(NUM_ACTIONS, rng)

    def expert(self, rng: np.random.Generator) -> Player:
        """The solution, one action after the other; of some rooms the search takes too long, and is given up."""
        actions = solve(self.env.room_fixed, self.env.room_state)
        if actions is None:
            raise GaveUpError
        left = iter(actions)
        return lambda seen: next(left)

    def frame(self) -> Frame:
        """The whole room."""
        return np.asarray(self.env.render(mode="rgb_array"), dtype=np.uint8)


def rooms(boxes: int) -> str:
    """Rooms, and how many boxes they have."""
    return f"rooms with {boxes} box{'es' if boxes > 1 else ''}"


def _seen(image: Any) -> Observation:
    return {_IMAGE: image.astype(np.uint8)}
