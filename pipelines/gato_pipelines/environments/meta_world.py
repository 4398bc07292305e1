"""Meta-World tasks, each with many goals."""

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_pipelines.environments.chance import Chance, draw_seed
from gato_pipelines.environments.environment import ACTION, Environment, Frame, Observation, Player, Step
from gato_pipelines.environments.installed import find_name, import_simulator
from gato_pipelines.environments.rendering import choose_backend
from gato_pipelines.rlds.features import Kind, Leaf

MAX_STEPS = 500
"""Actions after which the simulator cuts an episode; it never ends one."""
SUFFIX = "-v3"

_INSTALL = 'pip install "gato-data[simulators-mujoco]"'
OBSERVATION = "steps/observation"
_GOALS = 50
"""Goals and positions of one benchmark object, which takes a second to make."""
_CAMERA, _FRAME = "corner2", 240
"""Which camera draws a frame, and how many pixels it has on a side."""


class MetaWorld(Environment):
    """One task, with another goal in every episode."""

    knows_success = True
    expert_policy = "Meta-World's scripted expert"
    actions = (Leaf(path=ACTION, kind=Kind.TENSOR, dtype="float32", shape=(4,), value_range="[-1, 1]"),)
    observations = (Leaf(path=OBSERVATION, kind=Kind.TENSOR, dtype="float64", shape=(39,), encoding="zlib"),)

    def __init__(self, task: str, *, max_steps: int = MAX_STEPS, draws: bool = False) -> None:
        """Make a task, named as `find_task` does; with `draws` it can show frames."""
        if draws:
            choose_backend("leave the pictures out")
        self.name, self.max_actions, self._draws = task, max_steps, draws
        self._env: Any = None

    def reset(self, chance: Chance) -> Observation:
        """Take the episode's goal: it is one of a block of 50, which the first episode of the block draws."""
        place = chance.number % _GOALS
        first = chance.of(chance.number - place) if place else chance
        benchmark = _benchmark(self.name + SUFFIX, draw_seed(first.rng))
        if self._env is None:
            drawn = {"render_mode": "rgb_array", "camera_name": _CAMERA, "width": _FRAME, "height": _FRAME}
            self._env = benchmark.train_classes[self.name + SUFFIX](**(drawn if self._draws else {}))
        self._env.set_task(benchmark.train_tasks[place])
        observation, _ = self._env.reset(seed=draw_seed(chance.rng))
        return {OBSERVATION: observation}

    def step(self, action: NDArray[Any]) -> Step:
        """Act once, (4,); what is beyond [-1, 1] is clipped. The reward goes on after a success."""
        applied = self.applied(action)
        observation, reward, ended, truncated, info = self._env.step(applied)
        over, success = bool(ended or truncated), bool(info["success"] > 0)
        return Step(applied, {OBSERVATION: observation}, float(reward), over, bool(ended), success)

    def applied(self, action: NDArray[Any]) -> NDArray[np.float32]:
        """Within [-1, 1]."""
        return np.clip(np.asarray(action, dtype=np.float32), -1, 1)

    def random(self, rng: np.random.Generator) -> Player:
        """Every element of an action anywhere in [-1, 1]."""
        return lambda seen: rng.uniform(-1, 1, 4)

    def expert(self, rng: np.random.Generator) -> Player:
        """The expert that comes with the task."""
        from metaworld.policies import ENV_POLICY_MAP

        policy = ENV_POLICY_MAP[self.name + SUFFIX]()

        def act(seen: Observation) -> Any:
            # of actions beyond [-1, 1], which are clipped
            with warnings.catch_warnings(action="ignore"):
                return policy.get_action(seen[OBSERVATION])

        return act

    def frame(self) -> Frame:
        """What a camera in a corner sees."""
        return np.array(self._env.render()[::-1, ::-1])  # the camera hangs upside down

    def close(self) -> None:
        """Free what draws it."""
        if self._env is not None:
            self._env.close()


@lru_cache(maxsize=4)
def _benchmark(name: str, seed: int) -> Any:
    import metaworld

    return metaworld.MT1(name, seed=seed)


def find_task(name: str) -> str:
    """The task of a name, with or without Meta-World's "-v3": "reach", "pick-place".

    Raises:
        SettingError: there is none.
        MissingPackageError: metaworld is not installed.
    """
    return find_name(name.removesuffix(SUFFIX), tasks(), "Meta-World task")


def tasks() -> list[str]:
    """Names of all tasks.

    Raises:
        MissingPackageError: metaworld is not installed.
    """
    policies = import_simulator("metaworld.policies", "Meta-World tasks", _INSTALL)
    return sorted(name.removesuffix(SUFFIX) for name in policies.ENV_POLICY_MAP)
