"""DM Control's point mass whose frames show nothing, and a player who repeats its first action for ever.

`--env pointmass:blind --expert pointmass:repeats`, where this folder is in PYTHONPATH: a model that drives the point by
what it sees earns no more here than those who look at nothing.
"""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

STEPS, SIDE = 250, 64
"""Actions of an episode; pixels on a side of a frame."""


class Blind(gymnasium.Env[Any, Any]):
    """`point_mass-easy` with black frames; its rewards are those of the point as it moves."""

    observation_space = gymnasium.spaces.Dict({"pixels": gymnasium.spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)})
    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Draw where the point begins."""
        from dm_control import suite

        super().reset(seed=seed)
        self._steps = 0
        self._env = suite.load("point_mass", "easy", task_kwargs={"random": seed})
        self._env.reset()
        return self._seen(), {}

    def step(self, action: NDArray[Any]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Push the point."""
        reward = self._env.step(action).reward
        self._steps += 1
        return self._seen(), float(reward), False, self._steps == STEPS, {}

    def _seen(self) -> dict[str, NDArray[np.uint8]]:
        return {"pixels": np.zeros((SIDE, SIDE, 3), np.uint8)}


def blind() -> Blind:
    """The environment."""
    return Blind()


def repeats(env: gymnasium.Env[Any, Any]) -> Callable[[Any], NDArray[np.float32]]:
    """A player who does the same again and again."""
    action = env.unwrapped.np_random.uniform(-1, 1, 2).astype(np.float32)
    return lambda seen: action
