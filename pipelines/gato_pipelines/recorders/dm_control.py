"""DM Control Suite tasks, from state or from pixels, played by `controllers` or by noise."""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, Unpack

import numpy as np

from gato_data.errors import SettingError
from gato_pipelines.recorders.controllers import CONTROLLERS, NOISE, Controller, Noise
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
from gato_pipelines.recorders.rendering import choose_backend
from gato_pipelines.recorders.simulators import find_name, import_simulator
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf

MAX_STEPS = 1000
"""Actions of a whole episode of the Suite."""
SIDE = 64
"""Pixels on a side of a frame."""

_INSTALL = 'pip install "gato-data[simulators-mujoco]"'
_OBSERVATION = "steps/observation/"
_PIXELS = _OBSERVATION + "pixels"
_Look: TypeAlias = Callable[[Any, Mapping[str, Any]], Mapping[str, Any]]


def record(
    task: str,
    episodes: int,
    out: Path,
    *,
    seed: int = 0,
    pixels: bool = False,
    max_steps: int = MAX_STEPS,
    **writing: Unpack[Writing],
) -> Recording:
    """Play a task and write the episodes as RLDS; the same arguments give the same bytes on the same machine.

    Args:
        task: domain and task, as "cartpole-swingup".
        episodes: how many.
        out: a new or empty folder, or one that an earlier call left unfinished.
        seed: of the initial states and of noise, 0 to 2**31 - 1.
        pixels: record frames of 64x64 from the task's first camera in place of states.
        max_steps: actions after which an episode is cut.
        writing: see `Writing`.

    Raises:
        SettingError: there is no such task, `max_steps` is out of range, or nothing here can draw frames.
        MissingPackageError: dm_control is not installed.
        OutputError: `out` holds something else, or a finished recording.
    """
    if max_steps < 1:
        raise SettingError(f"an episode of at most {max_steps} actions: 1 or more were wanted")
    if pixels and importlib.util.find_spec("dm_control") is not None:
        choose_backend()
    found = find_name(task, tasks(), "DM Control task")
    features = _features(found, pixels=pixels)
    card = _card(found, features, seed, max_steps)
    return write_recording(out, card, _plays(found, features, episodes, seed, max_steps), episodes, **writing)


def tasks() -> list[str]:
    """Names of all tasks.

    Raises:
        MissingPackageError: dm_control is not installed.
    """
    suite = import_simulator("dm_control.suite", "DM Control tasks", _INSTALL)
    return ["-".join(names) for names in suite.ALL_TASKS]


def _load(task: str, seed: int) -> Any:
    from dm_control import suite

    domain, _, name = task.partition("-")
    return suite.load(domain, name, task_kwargs={"random": seed})


def _features(task: str, *, pixels: bool) -> Features:
    env = _load(task, 0)
    action = Leaf(
        path="steps/action",
        kind=Kind.TENSOR,
        dtype="float32",
        shape=env.action_spec().shape,
        value_range="[-1, 1]",
    )
    if pixels:
        return recording_features(action, [image_leaf(_PIXELS, SIDE, SIDE)])
    sizes = {name: int(np.prod(spec.shape)) for name, spec in env.observation_spec().items()}
    leaves = [
        Leaf(path=_OBSERVATION + name, kind=Kind.TENSOR, dtype="float32", shape=(size,)) for name, size in sizes.items()
    ]
    return recording_features(action, leaves)


def _card(task: str, features: Features, seed: int, max_steps: int) -> DatasetCard:
    versions = {name: importlib.metadata.version(name) for name in ("dm_control", "mujoco")}
    policy = CONTROLLERS[task][0] if task in CONTROLLERS else NOISE
    pixels = any(leaf.kind == Kind.IMAGE for leaf in features.leaves)
    return DatasetCard(
        name="dm_control_suite_pixels" if pixels else "dm_control_suite",
        config=task.replace("-", "_", 1),
        version="1.0.0",
        features=features,
        description=(
            f"DM Control's {task} in dm_control {versions['dm_control']}, played by {policy}. The last timestep of an "
            "episode holds the final observation only."
        ),
        licence="Recorded with dm_control (Apache-2.0).",
        module=__name__,
        metadata={"task": task, "policy": policy, "seed": seed, "max_steps": max_steps, "pixels": pixels, **versions},
    )


def _plays(task: str, features: Features, count: int, seed: int, max_steps: int) -> Iterator[RldsEpisode]:
    pixels = any(leaf.kind == Kind.IMAGE for leaf in features.leaves)
    for number in range(count):
        rng = episode_rng(seed, number)
        env = _load(task, draw_seed(rng))
        # Soft shadows and smooth edges take ten times as long without a GPU, and do not show at 64x64.
        env.physics.model.vis.quality.offsamples = env.physics.model.vis.quality.shadowsize = 0
        yield as_rlds(features, number, _play(task, env, rng, max_steps, _see if pixels else _feel))
        env.close()


def _play(task: str, env: Any, rng: np.random.Generator, max_steps: int, look: _Look) -> PlayedEpisode:
    timestep = env.reset()
    act: Controller
    act = CONTROLLERS[task][1](env.physics) if task in CONTROLLERS else Noise(env.action_spec().shape[0], rng)
    play = PlayedEpisode([look(env, timestep.observation)])
    while not timestep.last() and len(play.actions) < max_steps:
        action = np.clip(act(), -1, 1).astype(np.float32)
        timestep = env.step(action)
        play.add(action, timestep.reward, look(env, timestep.observation))
    play.is_terminal = bool(timestep.last() and timestep.discount == 0)
    return play


def _feel(env: Any, observation: Mapping[str, Any]) -> Mapping[str, Any]:
    return {_OBSERVATION + name: np.ravel(value) for name, value in observation.items()}


def _see(env: Any, observation: Mapping[str, Any]) -> Mapping[str, Any]:
    return {_PIXELS: png(env.physics.render(SIDE, SIDE, camera_id=0))}
