"""Meta-World tasks, solved by the scripted experts that come with them."""

import importlib.metadata
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from gato_data.errors import SettingError
from gato_pipelines.recorders.recorder import Player, SimulatorRecorder, name_setting, seed_setting, steps_setting
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.simulators.meta_world import MAX_STEPS, OBSERVATION, SUFFIX, MetaWorld, find_task
from gato_pipelines.simulators.simulator import Observation

POLICY = "Meta-World's scripted expert"


@dataclass(frozen=True)
class Recorder(SimulatorRecorder[MetaWorld]):
    """Let Meta-World's expert play a task.

    Every episode has a new goal, and the same number of actions whether the task is solved early or
    not.
    """

    example: ClassVar[str] = "gato-data record meta-world --task reach --out reach-rlds"

    task: str = name_setting("Name of the task, such as reach or pick-place.")
    seed: int = seed_setting()
    max_steps: int = steps_setting(MAX_STEPS)

    def __post_init__(self) -> None:
        if not 1 <= self.max_steps <= MAX_STEPS:
            raise SettingError(
                f"a Meta-World episode of at most {self.max_steps} actions: 1 to {MAX_STEPS} were wanted"
            )

    @property
    def max_actions(self) -> int:
        """As set: the simulator's reward goes on after a success, and so does the episode."""
        return self.max_steps

    def simulator(self) -> MetaWorld:
        """The task."""
        return MetaWorld(find_task(self.task))

    @cached_property
    def _expert(self) -> Any:
        from metaworld.policies import ENV_POLICY_MAP

        return ENV_POLICY_MAP[find_task(self.task) + SUFFIX]()

    def player(self, simulator: MetaWorld, rng: np.random.Generator) -> Player:
        """The expert."""

        def act(seen: Observation) -> Any:
            # of actions beyond [-1, 1], which are clipped
            with warnings.catch_warnings(action="ignore"):
                return self._expert.get_action(seen[OBSERVATION])

        return act

    def card(self, simulator: MetaWorld) -> DatasetCard:
        """What the recording says of itself."""
        task = find_task(self.task)
        versions = {name: importlib.metadata.version(name) for name in ("metaworld", "mujoco")}
        return DatasetCard(
            name="metaworld",
            config=task,
            version="1.0.0",
            features=self.features(simulator),
            description=(
                f"Meta-World's {task} in metaworld {versions['metaworld']}, played by {POLICY}; actions are clipped to "
                "[-1, 1]. The last timestep of an episode holds the final observation only."
            ),
            licence="Recorded with metaworld (MIT).",
            module=__name__,
            metadata={"task": task, "policy": POLICY, "seed": self.seed, "max_steps": self.max_steps, **versions},
        )
