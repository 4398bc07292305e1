"""DM Control Suite tasks, from state or from pixels, played by controllers or by noise."""

import importlib.metadata
from dataclasses import dataclass
from typing import ClassVar

from gato_data.settings import setting
from gato_pipelines.environments.dm_control import DmControl, find_task
from gato_pipelines.recorders.recorder import (
    Actor,
    EnvironmentRecorder,
    actor_setting,
    check_noise,
    check_steps,
    name_setting,
    noise_setting,
    seed_setting,
    steps_setting,
)
from gato_pipelines.rlds.card import DatasetCard


@dataclass(frozen=True)
class Recorder(EnvironmentRecorder[DmControl]):
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
    actor: Actor = actor_setting("auto")
    noise: float = noise_setting()

    def __post_init__(self) -> None:
        check_steps(self.max_steps)
        check_noise(self.noise)

    def environment(self, *, draws: bool = False, recorded: bool = False) -> DmControl:
        """The task."""
        task = find_task(self.task, pixels=self.pixels or draws)
        return DmControl(task, pixels=self.pixels, max_steps=self.max_steps)

    def card(self, environment: DmControl, policy: str) -> DatasetCard:
        """What the recording says of itself."""
        versions = {name: importlib.metadata.version(name) for name in ("dm_control", "mujoco")}
        task = environment.name
        return DatasetCard(
            name="dm_control_suite_pixels" if self.pixels else "dm_control_suite",
            config=task.replace("-", "_", 1),
            version="1.0.0",
            features=self.features(environment),
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
