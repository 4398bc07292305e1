"""DM Control Suite tasks, from state or from pixels, played by `controllers` or by noise."""

import importlib.metadata
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gato_data.settings import setting
from gato_pipelines.recorders.controllers import CONTROLLERS, NOISE, Controller, SmoothNoise
from gato_pipelines.recorders.recorder import (
    Player,
    SimulatorRecorder,
    check_steps,
    name_setting,
    seed_setting,
    steps_setting,
)
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.simulators.dm_control import DmControl, find_task


@dataclass(frozen=True)
class Recorder(SimulatorRecorder[DmControl]):
    """Play a task of the DM Control Suite.

    Controllers play cartpole-balance, cartpole-swingup (also sparse), pendulum-swingup,
    point_mass-* and reacher-* like experts; all other tasks are played by smooth random noise. What
    played is printed, and stands in the recording.
    """

    example: ClassVar[str] = "gato-data record dm-control --task cartpole-swingup --out cartpole-rlds"

    task: str = name_setting("Domain and task, such as cartpole-swingup.")
    pixels: bool = setting(False, "Record frames of 64x64 in place of states.", flag=True)
    seed: int = seed_setting()
    max_steps: int = steps_setting(1000)

    def __post_init__(self) -> None:
        check_steps(self.max_steps)

    @property
    def max_actions(self) -> int:
        """As set; the Suite's own episodes have 1000."""
        return self.max_steps

    def simulator(self) -> DmControl:
        """The task."""
        return DmControl(find_task(self.task, pixels=self.pixels), pixels=self.pixels)

    def player(self, simulator: DmControl, rng: np.random.Generator) -> Player:
        """A controller, which sees the whole physical state, or noise."""
        made = CONTROLLERS.get(simulator.task)
        act: Controller = made[1](simulator.env.physics) if made else SmoothNoise(simulator.action.shape[0] or 0, rng)
        return lambda seen: act()

    def card(self, simulator: DmControl) -> DatasetCard:
        """What the recording says of itself."""
        versions = {name: importlib.metadata.version(name) for name in ("dm_control", "mujoco")}
        task = simulator.task
        policy = CONTROLLERS[task][0] if task in CONTROLLERS else NOISE
        return DatasetCard(
            name="dm_control_suite_pixels" if self.pixels else "dm_control_suite",
            config=task.replace("-", "_", 1),
            version="1.0.0",
            features=self.features(simulator),
            description=(
                f"DM Control's {task} in dm_control {versions['dm_control']}, played by {policy}. The last timestep of "
                "an episode holds the final observation only."
            ),
            licence="Recorded with dm_control (Apache-2.0).",
            module=__name__,
            metadata={
                "task": task,
                "policy": policy,
                "seed": self.seed,
                "max_steps": self.max_steps,
                "pixels": self.pixels,
                **versions,
            },
        )
