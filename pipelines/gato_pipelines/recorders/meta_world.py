"""Meta-World tasks, solved by the scripted experts that come with them."""

import importlib.metadata
from dataclasses import dataclass
from typing import ClassVar

from gato_data.errors import SettingError
from gato_pipelines.environments.meta_world import MAX_STEPS, MetaWorld, find_task
from gato_pipelines.recorders.recorder import (
    Actor,
    EnvironmentRecorder,
    actor_setting,
    check_noise,
    name_setting,
    noise_setting,
    seed_setting,
    steps_setting,
)
from gato_pipelines.rlds.card import DatasetCard


@dataclass(frozen=True)
class Recorder(EnvironmentRecorder[MetaWorld]):
    """Let Meta-World's expert play a task.

    Every episode has a new goal, and the same number of actions whether the task is solved early or
    not: the reward goes on after a success.
    """

    example: ClassVar[str] = "gato-data record meta-world --task reach --out reach-rlds"

    task: str = name_setting("Name of the task, such as reach or pick-place.")
    seed: int = seed_setting()
    max_steps: int = steps_setting(MAX_STEPS)
    actor: Actor = actor_setting()
    noise: float = noise_setting()

    def __post_init__(self) -> None:
        check_noise(self.noise)
        if not 1 <= self.max_steps <= MAX_STEPS:
            raise SettingError(
                f"a Meta-World episode of at most {self.max_steps} actions: 1 to {MAX_STEPS} were wanted"
            )

    def environment(self, *, draws: bool = False, recorded: bool = False) -> MetaWorld:
        """The task."""
        return MetaWorld(find_task(self.task), max_steps=self.max_steps, draws=draws)

    def card(self, environment: MetaWorld, policy: str) -> DatasetCard:
        """What the recording says of itself."""
        task = environment.name
        versions = {name: importlib.metadata.version(name) for name in ("metaworld", "mujoco")}
        return DatasetCard(
            name="metaworld",
            config=task,
            version="1.0.0",
            features=self.features(environment),
            description=(
                f"Meta-World's {task} in metaworld {versions['metaworld']}, played by {policy}; actions are clipped to "
                "[-1, 1]. The last timestep of an episode holds the final observation only."
            ),
            licence="Recorded with metaworld (MIT).",
            module=__name__,
            metadata={"task": task, "policy": policy, "seed": self.seed, "max_steps": self.max_steps, **versions},
        )
