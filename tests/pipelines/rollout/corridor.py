"""A corridor with the interface of gymnasium, somebody who knows the way, and a policy that mostly does."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

LENGTH = 8


class Corridor(gymnasium.Env):
    """Seven cells in a row; at one end is the goal, and what is observed says at which one."""

    observation_space = spaces.Dict(
        {
            "place": spaces.Box(-1, 1, (1,), np.float32),
            "goal": spaces.Discrete(2),
            "mission": spaces.Text(40),
        }
    )
    action_space = spaces.Discrete(2)
    render_mode = "rgb_array"
    damage = ""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.goal, self.steps = int(self.np_random.integers(2, 5)), int(self.np_random.integers(2)), 0
        return self._seen(), {}

    def step(self, action):
        self.place += 1 if action else -1
        self.steps += 1
        done = self.place in (0, 6)
        success = done and (self.place == 6) == bool(self.goal)
        reward = float("nan") if self.damage == "reward" else float(success)
        return self._seen(), reward, done, self.steps == LENGTH, {"is_success": success}

    def render(self):
        frame = np.full((16, 112, 3), 255, np.uint8)
        frame[:, 96 * self.goal : 96 * self.goal + 16] = (0, 160, 0)
        frame[4:12, 16 * self.place + 4 : 16 * self.place + 12] = 0
        return frame

    def _seen(self):
        place = np.array([self.place / 3 - 1], np.float32)
        if self.damage == "nan":
            place[:] = np.nan
        if self.damage == "shape":
            place = np.zeros(3, np.float32)
        return {"place": place, "goal": self.goal, "mission": f"go {'right' if self.goal else 'left'}"}


def make(render_mode: str | None = None) -> Corridor:
    return Corridor()


class Late(Corridor):
    """Says at the end of an episode alone whether it was solved."""

    def step(self, action):
        seen, reward, done, cut, info = super().step(action)
        return seen, reward, done, cut, info if done or cut else {}


class Unseen(Corridor):
    observation_space = spaces.Dict({})


class Unrewarded(Corridor):
    def step(self, action):
        return (self._seen(), None, *super().step(action)[2:])


late, unseen, unrewarded = Late, Unseen, Unrewarded


def nothing() -> None:
    """Forgets to return what it made."""


def broken() -> Corridor:
    raise RuntimeError("no corridor today")


def expert(env: Corridor) -> Callable[[Mapping[str, Any]], int]:
    return lambda seen: seen["goal"]


class Walker:
    """A policy that is right in nine of ten actions, as its own random numbers decide."""

    def __init__(self, right: float = 0.9) -> None:
        self.right, self.calls = right, 0
        self.started: list[tuple[int, int]] = []

    def reset(self, *, environments: int = 1, **settings: Any) -> None:
        self.settings = settings
        self._rngs = [np.random.default_rng(0)] * environments

    def restart(self, index: int, seed: int) -> None:
        self.started.append((index, seed))
        self._rngs[index] = np.random.default_rng(seed)

    def act(self, observation: Sequence[Mapping[str, Any] | None]) -> list[dict[str, Any] | None]:
        self.calls += 1
        return [None if seen is None else self._act(at, seen) for at, seen in enumerate(observation)]

    def _act(self, at: int, seen: Mapping[str, Any]) -> dict[str, Any]:
        assert set(seen) == {"place", "goal", "mission"}
        assert seen["mission"] == f"go {'right' if seen['goal'] else 'left'}"
        goes = int(seen["goal"]) if self._rngs[at].random() < self.right else 1 - int(seen["goal"])
        return {"action": np.array(goes)}


NAME = f"{__name__}:make"
EXPERT = f"{__name__}:expert"
