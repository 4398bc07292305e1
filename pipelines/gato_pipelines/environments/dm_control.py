"""DM Control Suite tasks, seen by their states or by a camera."""

import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_pipelines.environments.chance import Chance, draw_seed
from gato_pipelines.environments.dm_control_controllers import CONTROLLERS, NOISE, SmoothNoise
from gato_pipelines.environments.environment import ACTION, Environment, Frame, Observation, Player, Step, image_leaf
from gato_pipelines.environments.installed import find_name, import_simulator
from gato_pipelines.environments.rendering import choose_backend
from gato_pipelines.rlds.features import Kind, Leaf

SIDE = 64
"""Pixels on a side of what a camera sees."""

_INSTALL = 'pip install "gato-data[simulators-mujoco]"'
_FRAME = 240
"""Pixels on a side of a picture."""
_OBSERVATION = "steps/observation/"
_PIXELS = _OBSERVATION + "pixels"


class DmControl(Environment):
    """One task; with `pixels` what its first camera sees."""

    random_policy = NOISE

    def __init__(self, task: str, *, pixels: bool = False, max_steps: int | None = None) -> None:
        """Make a task, named as `find_task` does, of whose episodes the Suite's own have 1000 actions."""
        self.name, self._pixels, self.max_actions = task, pixels, max_steps
        self.expert_policy = CONTROLLERS[task][0] if task in CONTROLLERS else ""
        self.env = self._load(0)
        shape = self.env.action_spec().shape
        self.actions = [Leaf(path=ACTION, kind=Kind.TENSOR, dtype="float32", shape=shape, value_range="[-1, 1]")]
        sizes = {name: int(np.prod(spec.shape)) for name, spec in self.env.observation_spec().items()}
        states = [
            Leaf(path=_OBSERVATION + name, kind=Kind.TENSOR, dtype="float32", shape=(size,))
            for name, size in sizes.items()
        ]
        self.observations = [image_leaf(_PIXELS, SIDE, SIDE)] if pixels else states

    def reset(self, chance: Chance) -> Observation:
        """Draw an initial state; the physics are made anew."""
        self.close()
        self.env = self._load(draw_seed(chance.rng))
        # Soft shadows and smooth edges do not show at 64x64, and take ten times as long without
        # a GPU.
        self.env.physics.model.vis.quality.offsamples = self.env.physics.model.vis.quality.shadowsize = 0
        return self._seen(self.env.reset().observation)

    def step(self, action: NDArray[Any]) -> Step:
        """Act once, (A,); what is beyond [-1, 1] is clipped."""
        applied = self.applied(action)
        timestep = self.env.step(applied)
        over = bool(timestep.last())
        return Step(applied, self._seen(timestep.observation), timestep.reward, over, over and timestep.discount == 0)

    def applied(self, action: NDArray[Any]) -> NDArray[np.float32]:
        """Within [-1, 1]."""
        return np.asarray(np.clip(action, -1, 1), dtype=np.float32)

    def random(self, rng: np.random.Generator) -> Player:
        """Smooth noise: bodies do not move of noise that changes its mind at every step."""
        act = SmoothNoise(self.env.action_spec().shape[0], rng)
        return lambda seen: act()

    def expert(self, rng: np.random.Generator) -> Player:
        """A controller, which sees the whole physical state."""
        act = CONTROLLERS[self.name][1](self.env.physics)
        return lambda seen: act()

    def frame(self) -> Frame:
        """What the first camera sees."""
        return np.array(self.env.physics.render(_FRAME, _FRAME, camera_id=0))

    def close(self) -> None:
        """Free the physics and what draws them."""
        self.env.close()

    def _load(self, seed: int) -> Any:
        from dm_control import suite

        domain, _, name = self.name.partition("-")
        return suite.load(domain, name, task_kwargs={"random": seed})

    def _seen(self, observation: Mapping[str, Any]) -> Observation:
        if self._pixels:
            return {_PIXELS: np.array(self.env.physics.render(SIDE, SIDE, camera_id=0))}
        return {_OBSERVATION + name: np.ravel(value) for name, value in observation.items()}


def find_task(name: str, *, pixels: bool = False) -> str:
    """The task of a name such as "cartpole-swingup"; with `pixels` checks that pictures can be drawn here.

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
