"""Meta-World tasks, each with many goals."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_pipelines.rlds.features import Kind, Leaf
from gato_pipelines.simulators.installed import find_name, import_simulator
from gato_pipelines.simulators.simulator import Observation, Simulator, Step, draw_seed

MAX_STEPS = 500
"""Actions after which the simulator cuts an episode; it never ends one."""
SUFFIX = "-v3"

_INSTALL = 'pip install "gato-data[simulators-mujoco]"'
OBSERVATION = "steps/observation"
_GOALS = 50
"""Goals and positions of one benchmark object, which takes a second to make."""


class MetaWorld(Simulator):
    """One task, with another goal in every episode."""

    knows_success = True
    action = Leaf(path="steps/action", kind=Kind.TENSOR, dtype="float32", shape=(4,), value_range="[-1, 1]")
    observations = (Leaf(path=OBSERVATION, kind=Kind.TENSOR, dtype="float64", shape=(39,), encoding="zlib"),)

    def __init__(self, task: str) -> None:
        """Make a task, named as `find_task` does."""
        import metaworld

        self._name, self._metaworld = task + SUFFIX, metaworld
        self._env: Any = None
        self._goals: list[Any] = []

    def reset(self, rng: np.random.Generator) -> Observation:
        """Take the next goal."""
        if not self._goals:
            benchmark = self._metaworld.MT1(self._name, seed=draw_seed(rng))
            self._env = benchmark.train_classes[self._name]()
            self._goals = list(benchmark.train_tasks[:_GOALS])
        self._env.set_task(self._goals.pop(0))
        observation, _ = self._env.reset(seed=draw_seed(rng))
        return {OBSERVATION: observation}

    def step(self, action: NDArray[Any]) -> Step:
        """Act once, (4,); what is beyond [-1, 1] is clipped. The reward goes on after a success."""
        applied = np.clip(np.asarray(action, dtype=np.float32), -1, 1)
        observation, reward, ended, truncated, info = self._env.step(applied)
        over, success = bool(ended or truncated), bool(info["success"] > 0)
        return Step(applied, {OBSERVATION: observation}, float(reward), over, bool(ended), success)


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
