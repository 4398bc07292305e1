"""BabyAI levels (minigrid), solved by the bot that comes with them: demonstrations as the paper's."""

import importlib.metadata
import re
from dataclasses import dataclass
from typing import ClassVar

from gato_data.errors import SettingError
from gato_data.settings import setting
from gato_pipelines.environments.babyai import BabyAI, find_level
from gato_pipelines.recorders.recorder import (
    Actor,
    EnvironmentRecorder,
    actor_setting,
    check_noise,
    name_setting,
    noise_setting,
    seed_setting,
)
from gato_pipelines.rlds.card import DatasetCard

MAX_ATTEMPTS = 20
"""Layouts of one episode that the bot may give up before the level counts as one it cannot
solve."""


@dataclass(frozen=True)
class Recorder(EnvironmentRecorder[BabyAI]):
    """Let minigrid's bot solve a BabyAI level.

    Every episode has a new layout; those that the bot gives up are left out.
    """

    example: ClassVar[str] = "gato-data record babyai --level GoToLocal --episodes 100 --out go-to-local-rlds"

    level: str = name_setting("Name of the level, such as GoToLocal or boss-level.")
    pixels: bool = setting(False, "Record what is seen as frames of 112x112 in place of symbols.", flag=True)
    seed: int = seed_setting()
    actor: Actor = actor_setting()
    noise: float = noise_setting()

    def __post_init__(self) -> None:
        check_noise(self.noise)

    def environment(self, *, draws: bool = False, recorded: bool = False) -> BabyAI:
        """The level."""
        return BabyAI(find_level(self.level), pixels=self.pixels)

    def check_tries(self, tries: int) -> None:
        """No level is tried for ever."""
        if tries == MAX_ATTEMPTS:
            level = find_level(self.level)
            raise SettingError(f"minigrid's bot cannot solve {level}: it gave up {tries} layouts; take another")

    def card(self, environment: BabyAI, policy: str) -> DatasetCard:
        """What the recording says of itself."""
        level, version = environment.name, importlib.metadata.version("minigrid")
        deed = "solved" if policy.startswith(environment.expert_policy) else "played"
        return DatasetCard(
            name="babyai_pixels" if self.pixels else "babyai",
            config=task_name(level),
            version="1.0.0",
            features=self.features(environment),
            description=(
                f"BabyAI's {level} in minigrid {version}, {deed} by {policy}. The last timestep of an episode holds "
                "the final observation only."
            ),
            licence="Recorded with minigrid (Apache-2.0).",
            module=__name__,
            metadata={"level": level, "policy": policy, "seed": self.seed, "pixels": self.pixels, "minigrid": version},
        )


def task_name(level: str) -> str:
    """The level as JAT writes it: "go-to-local"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", level).lower()
