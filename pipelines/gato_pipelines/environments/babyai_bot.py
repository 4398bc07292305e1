"""The bot that comes with minigrid, which made the demonstrations of the paper."""

from collections.abc import Callable
from typing import Any

from gato_pipelines.environments.environment import GaveUpError, Observation, Player

_MAX_SEARCHES = 200
"""Searches of the bot before one action; 8 are many."""


def bot_errors() -> tuple[type[Exception], ...]:
    """What is raised where the bot gives up: by itself, and by its plans."""
    from minigrid.utils.baby_ai_bot import DisappearedBoxError

    return GaveUpError, AssertionError, DisappearedBoxError


def bot_player(env: Any, done: Callable[[], int | None]) -> Player:
    """The bot of a level that has just begun; `done` says which action was done last, whosoever it was."""
    bot = _make_bot(env)

    def act(seen: Observation) -> int:
        bot.searches = 0
        return int(bot.replan(done()))

    return act


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
