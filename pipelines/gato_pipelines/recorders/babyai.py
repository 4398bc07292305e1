"""BabyAI levels (minigrid), solved by the bot that comes with them: demonstrations as those of the paper."""

import contextlib
import importlib.metadata
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from gato_data.errors import SettingError
from gato_pipelines.recorders.recording import (
    PlayedEpisode,
    Recording,
    Writing,
    as_rlds,
    draw_seed,
    episode_rng,
    recording_features,
    write_recording,
)
from gato_pipelines.recorders.simulators import find_name, import_simulator
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Kind, Leaf

POLICY = "minigrid's BabyAIBot"
MAX_ATTEMPTS = 20
"""Layouts of one episode that the bot may give up before the level counts as one that it cannot solve."""

_MAX_SEARCHES = 200
"""Searches of the bot before one action; 8 are many."""
_INSTALL = 'pip install "gato-data[simulators]"'
_ID = re.compile(r"BabyAI-(?P<level>\w+)-v\d+")
_IMAGE, _DIRECTION, _MISSION = (f"steps/observation/{name}" for name in ("image", "direction", "mission"))
FEATURES = recording_features(
    Leaf(path="steps/action", kind=Kind.TENSOR, dtype="int64", value_range="[0, 6]"),
    (
        Leaf(path=_DIRECTION, kind=Kind.TENSOR, dtype="int64", value_range="[0, 3]"),
        Leaf(
            path=_IMAGE,
            kind=Kind.TENSOR,
            dtype="uint8",
            shape=(7, 7, 3),
            description="Object, colour and state of every cell that is seen.",
        ),
        Leaf(path=_MISSION, kind=Kind.TEXT, dtype="string"),
    ),
    success=True,
)


def record(level: str, episodes: int, out: Path, *, seed: int = 0, **writing: Unpack[Writing]) -> Recording:
    """Let the bot solve layouts of a level and write the episodes as RLDS; the same arguments give the same bytes.

    Args:
        level: as minigrid writes it, such as "GoToLocal", or as JAT does, "go-to-local".
        episodes: how many.
        out: a new or empty folder, or one that an earlier call left unfinished.
        seed: of the layouts, 0 to 2**31 - 1.
        writing: see `Writing`.

    Raises:
        SettingError: there is no such level, or the bot cannot solve it.
        MissingPackageError: minigrid is not installed.
        OutputError: `out` holds something else, or a finished recording.
    """
    found = find_name(_level_of(level), list(levels()), "BabyAI level")
    plays = _plays(found, episodes, seed)
    return write_recording(out, _card(found, seed), plays, episodes, **writing)


def levels() -> dict[str, str]:
    """Names of all levels, and the ids of their environments.

    Raises:
        MissingPackageError: minigrid is not installed.
    """
    import_simulator("minigrid", "BabyAI levels", _INSTALL)
    import gymnasium

    matches = (_ID.fullmatch(name) for name in gymnasium.registry)
    return {match["level"]: match[0] for match in matches if match}


def task_name(level: str) -> str:
    """The level as JAT writes it: "go-to-local"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", level).lower()


def _level_of(name: str) -> str:
    match = _ID.fullmatch(name)
    return match["level"] if match else name


def _card(level: str, seed: int) -> DatasetCard:
    version = importlib.metadata.version("minigrid")
    return DatasetCard(
        name="babyai",
        config=task_name(level),
        version="1.0.0",
        features=FEATURES,
        description=(
            f"BabyAI's {level} in minigrid {version}, solved by {POLICY}. The last timestep of an episode holds the "
            "final observation only."
        ),
        licence="Recorded with minigrid (Apache-2.0).",
        module=__name__,
        metadata={"level": level, "policy": POLICY, "seed": seed, "minigrid": version},
    )


def _plays(level: str, count: int, seed: int) -> Iterator[RldsEpisode]:
    import gymnasium

    env = gymnasium.make(levels()[level], disable_env_checker=True)
    for number in range(count):
        rng = episode_rng(seed, number)
        attempts = (_attempt(env, draw_seed(rng)) for _ in range(MAX_ATTEMPTS))
        play = next((play for play in attempts if play is not None), None)
        if play is None:
            raise SettingError(f"minigrid's bot cannot solve {level}: it gave up {MAX_ATTEMPTS} layouts; take another")
        yield as_rlds(FEATURES, number, play)


def _attempt(env: Any, seed: int) -> PlayedEpisode | None:
    """One layout, or None if the bot gives it up."""
    from minigrid.utils.baby_ai_bot import DisappearedBoxError

    with contextlib.redirect_stdout(io.StringIO()):  # tells of every layout that it discards
        observation, _ = env.reset(seed=seed)
    play = PlayedEpisode([_columns(observation)])
    ended = truncated = False
    try:
        bot = _make_bot(env)
        while not (ended or truncated):
            bot.searches = 0
            action = int(bot.replan())
            observation, reward, ended, truncated, _ = env.step(action)
            play.add(action, float(reward), _columns(observation))
    except (AssertionError, DisappearedBoxError, _EndlessPlanError):
        return None
    play.is_terminal = bool(ended)
    play.success = bool(play.rewards[-1] > 0)
    return play


class _EndlessPlanError(Exception):
    """The bot plans in circles, which it does on some layouts with locked doors."""


def _make_bot(env: Any) -> Any:
    from minigrid.utils.baby_ai_bot import BabyAIBot

    class Bot(BabyAIBot):  # type: ignore[misc]
        """The bot, its searches before one action counted: some layouts have it plan for ever."""

        searches = 0

        def _breadth_first_search(self, *arguments: Any, **settings: Any) -> Any:
            self.searches += 1
            if self.searches > _MAX_SEARCHES:
                raise _EndlessPlanError
            return super()._breadth_first_search(*arguments, **settings)

    return Bot(env)


def _columns(observation: Mapping[str, Any]) -> Mapping[str, Any]:
    image = np.array(observation["image"], dtype=np.uint8)
    return {_IMAGE: image, _DIRECTION: observation["direction"], _MISSION: str(observation["mission"])}
