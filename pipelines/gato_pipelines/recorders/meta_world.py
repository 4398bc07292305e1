"""Meta-World tasks, solved by the scripted experts that come with them."""

import importlib.metadata
import warnings
from collections.abc import Iterator
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

POLICY = "Meta-World's scripted expert"
MAX_STEPS = 500
"""Actions after which the simulator cuts an episode; it never ends one."""

_INSTALL = 'pip install "gato-data[simulators-mujoco]"'
_OBSERVATION = "steps/observation"
_SUFFIX = "-v3"
_GOALS = 50
"""Goals and positions of one benchmark object, which takes a second to make."""
FEATURES = recording_features(
    Leaf(path="steps/action", kind=Kind.TENSOR, dtype="float32", shape=(4,), value_range="[-1, 1]"),
    (Leaf(path=_OBSERVATION, kind=Kind.TENSOR, dtype="float64", shape=(39,), encoding="zlib"),),
    success=True,
)


def record(
    task: str, episodes: int, out: Path, *, seed: int = 0, max_steps: int = MAX_STEPS, **writing: Unpack[Writing]
) -> Recording:
    """Let the expert play a task, a new goal every episode; the same arguments give the same bytes.

    Actions are stored as the simulator applies them, clipped to [-1, 1]. An episode goes on to `max_steps`, since
    the simulator's reward does too; it is a success if the task was solved at any of its timesteps.

    Args:
        task: as Meta-World writes it, with or without its "-v3": "reach", "pick-place".
        episodes: how many.
        out: a new or empty folder, or one that an earlier call left unfinished.
        seed: of the goals and positions, 0 to 2**31 - 1.
        max_steps: actions after which an episode is cut, 1 to 500.
        writing: see `Writing`.

    Raises:
        SettingError: there is no such task, or `max_steps` is out of range.
        MissingPackageError: metaworld is not installed.
        OutputError: `out` holds something else, or a finished recording.
    """
    if not 1 <= max_steps <= MAX_STEPS:
        raise SettingError(f"a Meta-World episode of at most {max_steps} actions: 1 to {MAX_STEPS} were wanted")
    found = find_name(task.removesuffix(_SUFFIX), tasks(), "Meta-World task")
    plays = _plays(found, episodes, seed, max_steps)
    return write_recording(out, _card(found, seed, max_steps), plays, episodes, **writing)


def tasks() -> list[str]:
    """Names of all tasks.

    Raises:
        MissingPackageError: metaworld is not installed.
    """
    policies = import_simulator("metaworld.policies", "Meta-World tasks", _INSTALL)
    return sorted(name.removesuffix(_SUFFIX) for name in policies.ENV_POLICY_MAP)


def _card(task: str, seed: int, max_steps: int) -> DatasetCard:
    versions = {name: importlib.metadata.version(name) for name in ("metaworld", "mujoco")}
    return DatasetCard(
        name="metaworld",
        config=task,
        version="1.0.0",
        features=FEATURES,
        description=(
            f"Meta-World's {task} in metaworld {versions['metaworld']}, played by {POLICY}; actions are clipped to "
            "[-1, 1]. The last timestep of an episode holds the final observation only."
        ),
        licence="Recorded with metaworld (MIT).",
        module=__name__,
        metadata={"task": task, "policy": POLICY, "seed": seed, "max_steps": max_steps, **versions},
    )


def _plays(task: str, count: int, seed: int, max_steps: int) -> Iterator[RldsEpisode]:
    import metaworld
    from metaworld.policies import ENV_POLICY_MAP

    name = task + _SUFFIX
    expert = ENV_POLICY_MAP[name]()
    for number in range(count):
        rng = episode_rng(seed, number)
        goal = number % _GOALS
        if goal == 0:
            benchmark = metaworld.MT1(name, seed=draw_seed(rng))
            env = benchmark.train_classes[name]()
        env.set_task(benchmark.train_tasks[goal])
        yield as_rlds(FEATURES, number, _play(env, expert, draw_seed(rng), max_steps))


def _play(env: Any, expert: Any, seed: int, max_steps: int) -> PlayedEpisode:
    observation, _ = env.reset(seed=seed)
    play = PlayedEpisode([{_OBSERVATION: observation}], success=False)
    for _ in range(max_steps):
        with warnings.catch_warnings(action="ignore"):  # of actions beyond [-1, 1], which are clipped here
            wanted = expert.get_action(observation)
        action = np.clip(np.asarray(wanted, dtype=np.float32), -1, 1)
        observation, reward, ended, truncated, info = env.step(action)
        play.add(action, float(reward), {_OBSERVATION: observation})
        play.success = bool(play.success or info["success"] > 0)
        if ended or truncated:
            break
    play.is_terminal = bool(ended)
    return play
