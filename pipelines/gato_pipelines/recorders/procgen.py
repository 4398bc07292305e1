"""Procgen games, played at random: no expert of any of them is published as a package.

procgen-mirror and gym3 declare numpy below 2 but run with numpy 2; pip installs them beside gato-data with --no-deps
only, so that they are in no extra.
"""

import contextlib
import importlib.metadata
import io
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
    image_leaf,
    png,
    recording_features,
    write_recording,
)
from gato_pipelines.recorders.simulators import find_name, import_simulator
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Kind, Leaf

POLICY = "a random player, no expert"
NUM_ACTIONS = 15
MAX_STEPS = 1000

_INSTALL = (
    "pip install --no-deps procgen-mirror==0.10.7 gym3==0.3.3 and pip install cffi filelock glfw gym imageio moderngl "
    "(they declare numpy below 2, which pip refuses beside gato-data, but run with numpy 2)"
)
_IMAGE = "steps/observation/image"
FEATURES = recording_features(
    Leaf(path="steps/action", kind=Kind.TENSOR, dtype="int32", value_range="[0, 14]"),
    [image_leaf(_IMAGE, 64, 64)],
    success=True,
)


def record(
    game: str, episodes: int, out: Path, *, seed: int = 0, max_steps: int = MAX_STEPS, **writing: Unpack[Writing]
) -> Recording:
    """Play a game, a new level every episode; the same arguments give the same bytes.

    Procgen begins the next episode at once and hides the final observation: an episode of T actions has T timesteps,
    and the last action is a real one.

    Args:
        game: as "coinrun".
        episodes: how many.
        out: a new or empty folder, or one that an earlier call left unfinished.
        seed: of the levels and the player, 0 to 2**31 - 1.
        max_steps: actions after which an episode is cut.
        writing: see `Writing`.

    Raises:
        SettingError: there is no such game, or `max_steps` is out of range.
        MissingPackageError: procgen-mirror or gym3 is not installed.
        OutputError: `out` holds something else, or a finished recording.
    """
    if max_steps < 1:
        raise SettingError(f"an episode of at most {max_steps} actions: 1 or more were wanted")
    found = find_name(game, games(), "Procgen game")
    plays = _plays(found, episodes, seed, max_steps)
    return write_recording(out, _card(found, seed, max_steps), plays, episodes, **writing)


def games() -> list[str]:
    """Names of all games.

    Raises:
        MissingPackageError: procgen-mirror or gym3 is not installed.
    """
    with contextlib.redirect_stderr(io.StringIO()):  # gym greets that it is not maintained
        return list(import_simulator("procgen.env", "Procgen games", _INSTALL).ENV_NAMES)


def _card(game: str, seed: int, max_steps: int) -> DatasetCard:
    version = importlib.metadata.version("procgen-mirror")
    return DatasetCard(
        name="procgen",
        config=game,
        version="1.0.0",
        features=FEATURES,
        description=(
            f"Procgen's {game}, easy levels, in procgen-mirror {version}, played by {POLICY}. Every timestep has its "
            "action; the final observation is not known."
        ),
        licence="Recorded with procgen (MIT).",
        module=__name__,
        metadata={"game": game, "policy": POLICY, "seed": seed, "max_steps": max_steps, "procgen_mirror": version},
    )


def _plays(game: str, count: int, seed: int, max_steps: int) -> Iterator[RldsEpisode]:
    from procgen import ProcgenGym3Env

    for number in range(count):
        rng = episode_rng(seed, number)
        level = {"start_level": draw_seed(rng), "num_levels": 1, "rand_seed": draw_seed(rng)}
        env = ProcgenGym3Env(num=1, env_name=game, distribution_mode="easy", **level)
        yield as_rlds(FEATURES, number, _play(env, rng, max_steps))


def _play(env: Any, rng: np.random.Generator, max_steps: int) -> PlayedEpisode:
    play = PlayedEpisode([], success=False)
    _, observation, _ = env.observe()
    while len(play.actions) < max_steps and not play.is_terminal:
        action = int(rng.integers(NUM_ACTIONS))
        seen = _columns(observation)
        env.act(np.array([action], dtype=np.int32))
        rewards, observation, first = env.observe()
        play.add(action, float(rewards[0]), seen)
        play.is_terminal = bool(first[0])
    play.success = bool(play.is_terminal and env.get_info()[0]["prev_level_complete"])
    return play


def _columns(observation: Mapping[str, Any]) -> Mapping[str, Any]:
    return {_IMAGE: png(observation["rgb"][0])}
