"""BabyAI levels (minigrid), solved by the bot that comes with them: demonstrations as the paper's."""

import importlib.metadata
import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gato_data.errors import SettingError
from gato_pipelines.recorders.recorder import GaveUpError, Player, SimulatorRecorder, name_setting, seed_setting
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.simulators.babyai import BabyAI, find_level
from gato_pipelines.simulators.simulator import Observation

POLICY = "minigrid's BabyAIBot"
MAX_ATTEMPTS = 20
"""Layouts of one episode that the bot may give up before the level counts as one it cannot
solve."""

_MAX_SEARCHES = 200
"""Searches of the bot before one action; 8 are many."""


@dataclass(frozen=True)
class Recorder(SimulatorRecorder[BabyAI]):
    """Let minigrid's bot solve a BabyAI level.

    Every episode has a new layout; those that the bot gives up are left out.
    """

    example: ClassVar[str] = "gato-data record babyai --level GoToLocal --episodes 100 --out go-to-local-rlds"

    level: str = name_setting("Name of the level, such as GoToLocal or boss-level.")
    seed: int = seed_setting()

    def simulator(self) -> BabyAI:
        """The level."""
        return BabyAI(find_level(self.level))

    @property
    def gives_up(self) -> tuple[type[Exception], ...]:  # type: ignore[override]
        """Of the bot, and of its plans."""
        from minigrid.utils.baby_ai_bot import DisappearedBoxError

        return GaveUpError, AssertionError, DisappearedBoxError

    def check_tries(self, tries: int) -> None:
        """No level is tried for ever."""
        if tries == MAX_ATTEMPTS:
            level = find_level(self.level)
            raise SettingError(f"minigrid's bot cannot solve {level}: it gave up {tries} layouts; take another")

    def player(self, simulator: BabyAI, rng: np.random.Generator) -> Player:
        """The bot, which sees the whole level."""
        bot = _make_bot(simulator.env)

        def act(seen: Observation) -> int:
            bot.searches = 0
            return int(bot.replan())

        return act

    def card(self, simulator: BabyAI) -> DatasetCard:
        """What the recording says of itself."""
        level, version = find_level(self.level), importlib.metadata.version("minigrid")
        return DatasetCard(
            name="babyai",
            config=task_name(level),
            version="1.0.0",
            features=self.features(simulator),
            description=(
                f"BabyAI's {level} in minigrid {version}, solved by {POLICY}. The last timestep of an episode holds "
                "the final observation only."
            ),
            licence="Recorded with minigrid (Apache-2.0).",
            module=__name__,
            metadata={"level": level, "policy": POLICY, "seed": self.seed, "minigrid": version},
        )


def task_name(level: str) -> str:
    """The level as JAT writes it: "go-to-local"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", level).lower()


def _make_bot(env: Any) -> Any:
    from minigrid.utils.baby_ai_bot import BabyAIBot

    class Bot(BabyAIBot):  # type: ignore[misc]
        """The bot, its searches before one action counted: on some layouts it plans in circles."""

        searches = 0

        def _breadth_first_search(self, *arguments: Any, **settings: Any) -> Any:
            self.searches += 1
            if self.searches > _MAX_SEARCHES:
                raise GaveUpError
            return super()._breadth_first_search(*arguments, **settings)

    return Bot(env)
