"""Environments of gymnasium's interface, with a player of yours or at random."""

import importlib.metadata
import re
from dataclasses import dataclass
from typing import ClassVar

from gato_data.settings import setting
from gato_pipelines.environments.gymnasium import Gymnasium
from gato_pipelines.recorders.recorder import (
    Actor,
    EnvironmentRecorder,
    actor_setting,
    check_steps,
    name_setting,
    seed_setting,
    steps_setting,
)
from gato_pipelines.rlds.card import DatasetCard


@dataclass(frozen=True)
class Recorder(EnvironmentRecorder[Gymnasium]):
    """Play any environment of gymnasium's interface.

    The environment is an id of gymnasium's registry, or what a function of a module of yours makes.
    With --expert a player of yours plays, else chance. Name the folder of your modules in PYTHONPATH.
    """

    example: ClassVar[str] = "gato-data record gymnasium --env CartPole-v1 --episodes 20 --out cartpole-v1-rlds"

    env: str = name_setting("An id of gymnasium, or module:function.")
    expert: str = setting("", "module:function that takes the environment and returns a player.")
    seed: int = seed_setting()
    max_steps: int = steps_setting(1000)
    actor: Actor = actor_setting("auto")

    def __post_init__(self) -> None:
        check_steps(self.max_steps)

    def environment(self, *, draws: bool = False, recorded: bool = False) -> Gymnasium:
        """The environment."""
        return Gymnasium(self.env, max_steps=self.max_steps, expert=self.expert, draws=draws)

    def card(self, environment: Gymnasium, policy: str) -> DatasetCard:
        """What the recording says of itself."""
        version = importlib.metadata.version("gymnasium")
        return DatasetCard(
            name="gymnasium",
            config=re.sub(r"\W+", "_", self.env).strip("_"),
            version="1.0.0",
            features=self.features(environment),
            description=(
                f"{self.env} with the interface of gymnasium {version}, played by {policy}. The last timestep of an "
                "episode holds the final observation only."
            ),
            module=__name__,
            metadata={
                "env": self.env,
                "expert": self.expert,
                "policy": policy,
                "seed": self.seed,
                "max_steps": self.max_steps,
                "gymnasium": version,
            },
        )
