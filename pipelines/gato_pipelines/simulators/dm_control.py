"""DM Control Suite tasks, seen by their states or by a camera."""

import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_pipelines.rlds.features import Kind, Leaf
from gato_pipelines.simulators.installed import find_name, import_simulator
from gato_pipelines.simulators.rendering import choose_backend
from gato_pipelines.simulators.simulator import Observation, Simulator, Step, draw_seed, image_leaf, png

SIDE = 64
"""Pixels on a side of what a camera sees."""

_INSTALL = 'pip install "gato-data[simulators-mujoco]"'
_OBSERVATION = "steps/observation/"
_PIXELS = _OBSERVATION + "pixels"


class DmControl(Simulator):
    """One task; with `pixels` what its first camera sees."""

    def __init__(self, task: str, *, pixels: bool = False) -> None:
        """Make a task, named as `find_task` does."""
        self.task, self._pixels = task, pixels
        self.env = self._load(0)
        self.action = Leaf(
            path="steps/action",
            kind=Kind.TENSOR,
            dtype="float32",
            shape=self.env.action_spec().shape,
            value_range="[-1, 1]",
        )
        sizes = {name: int(np.prod(spec.shape)) for name, spec in self.env.observation_spec().items()}
        states = [
            Leaf(path=_OBSERVATION + name, kind=Kind.TENSOR, dtype="float32", shape=(size,))
            for name, size in sizes.items()
        ]
        self.observations = [image_leaf(_PIXELS, SIDE, SIDE)] if pixels else states

    def reset(self, rng: np.random.Generator) -> Observation:
        """Draw an initial state; the physics are new ones."""
        self.close()
        self.env = self._load(draw_seed(rng))
        # Soft shadows and smooth edges do not show at 64x64, and take ten times as long without
        # a GPU.
        self.env.physics.model.vis.quality.offsamples = self.env.physics.model.vis.quality.shadowsize = 0
        return self._seen(self.env.reset().observation)

    def step(self, action: NDArray[Any]) -> Step:
        """Act once, (A,); what is beyond [-1, 1] is clipped."""
        applied = np.clip(action, -1, 1).astype(np.float32)
        timestep = self.env.step(applied)
        over = bool(timestep.last())
        return Step(applied, self._seen(timestep.observation), timestep.reward, over, over and timestep.discount == 0)

    def close(self) -> None:
        """Free the physics and what draws them."""
        self.env.close()

    def _load(self, seed: int) -> Any:
        from dm_control import suite

        domain, _, name = self.task.partition("-")
        return suite.load(domain, name, task_kwargs={"random": seed})

    def _seen(self, observation: Mapping[str, Any]) -> Observation:
        if self._pixels:
            return {_PIXELS: png(self.env.physics.render(SIDE, SIDE, camera_id=0))}
        return {_OBSERVATION + name: np.ravel(value) for name, value in observation.items()}


def find_task(name: str, *, pixels: bool = False) -> str:
    """The task of a name such as "cartpole-swingup"; with `pixels` checks that it can be drawn here.

    Raises:
        SettingError: there is none, or nothing here can draw it.
        MissingPackageError: dm_control is not installed.
    """
    if pixels and importlib.util.find_spec("dm_control") is not None:
        choose_backend()
    return find_name(name, tasks(), "DM Control task")


def tasks() -> list[str]:
    """Names of all tasks.

    Raises:
        MissingPackageError: dm_control is not installed.
    """
    suite = import_simulator("dm_control.suite", "DM Control tasks", _INSTALL)
    return ["-".join(names) for names in suite.ALL_TASKS]
