"""Sokoban rooms (gym-sokoban), a new one every episode."""

import contextlib
import io
import random
from typing import Any

import numpy as np

from gato_pipelines.rlds.features import Kind, Leaf
from gato_pipelines.simulators.simulator import Observation, Simulator, Step, draw_seed, image_leaf, png
from gato_pipelines.simulators.sokoban_import import import_sokoban

CELLS = 10
"""Cells on a side of a room, walls included; a cell is drawn with 16x16 pixels."""
_IMAGE = "steps/observation/image"


class Sokoban(Simulator):
    """Rooms with so many boxes; after `max_steps` actions the simulator cuts an episode."""

    knows_success = True
    action = Leaf(path="steps/action", kind=Kind.TENSOR, dtype="int64", value_range="[0, 8]")
    observations = (image_leaf(_IMAGE, CELLS * 16, CELLS * 16),)

    def __init__(self, boxes: int, max_steps: int) -> None:
        self.env = import_sokoban()(max_steps=max_steps, num_boxes=boxes, reset=False)

    def reset(self, rng: np.random.Generator) -> Observation:
        """Draw a room, as gym-sokoban does from the global random numbers of Python and numpy."""
        before, seed = (random.getstate(), np.random.get_state()), draw_seed(rng)
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
        image, reward, ended, info = self.env.step(action)
        solved = bool(ended and info["all_boxes_on_target"])
        return Step(action, _seen(image), float(reward), bool(ended), solved, solved)


def _seen(image: Any) -> Observation:
    return {_IMAGE: png(image.astype(np.uint8))}
