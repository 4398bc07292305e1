"""One short recording of every simulator, for the tests that all of them have to pass."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from gato_pipelines.recorders.recording import Recording
from gato_pipelines.rlds.decode import EpisodeDecoder
from gato_pipelines.rlds.episode import RldsEpisode
from gato_schemas.tfrecord import read_records


@dataclass(frozen=True)
class Case:
    """What to record, and what becomes of it.

    `package` is what has to be installed, `source` ingests the recording, a timestep of which becomes `tokens` and
    those of its text.
    """

    recorder: str
    name: Any
    package: str
    extra: str
    source: str
    tokens: int
    settings: dict[str, Any] = field(default_factory=dict)
    final: bool = True

    @property
    def record(self) -> Callable[..., Recording]:
        need(self.package, self.extra)
        record = recorder(self.recorder)
        return lambda episodes, out, **more: record(self.name, episodes, out, **{**self.settings, **more})


def recorder(name: str) -> Callable[..., Recording]:
    """What records with the recorder of a module: what is played, how many episodes, where to, and settings."""
    made = import_module(f"gato_pipelines.recorders.{name}").Recorder

    def record(what: Any, episodes: int, out: Path, **settings: Any) -> Recording:
        writing = {key: settings.pop(key) for key in ("shards", "overwrite", "progress") if key in settings}
        return made(what, **settings).record(episodes, out, **writing)

    return record


def need(package: str, extra: str) -> None:
    """Skip the test where a simulator is not installed; it is not imported."""
    if find_spec(package) is None:
        pytest.skip(f"needs {package}, {extra}")


SIMULATORS = "of the extra [simulators]"
MUJOCO = "of the extra [simulators-mujoco]"
CASES = {
    "atari": Case("atari", "pong", "ale_py", SIMULATORS, "atari", 22, {"max_frames": 40}),
    "babyai": Case("babyai", "GoToLocal", "minigrid", SIMULATORS, "babyai", 150),
    "meta-world": Case("meta_world", "reach", "metaworld", MUJOCO, "meta-world", 44, {"max_steps": 8}),
    "dm-control": Case("dm_control", "walker-walk", "dm_control", MUJOCO, "dm-control", 31, {"max_steps": 9}),
    "sokoban": Case("sokoban", 1, "gym_sokoban", SIMULATORS, "sokoban", 102),
    "procgen": Case(
        "procgen",
        "coinrun",
        "procgen",
        "which pip installs beside numpy 2 with --no-deps only",
        "procgen",
        18,
        {"max_steps": 12},
        final=False,
    ),
}


def episodes_of(recording: Recording) -> list[RldsEpisode]:
    """The episodes in order, all of their features."""
    decoder = EpisodeDecoder(recording.directory.features.leaves)
    shards = recording.directory.split("train").shards
    return [decoder.decode(raw.data) for shard in shards for raw in read_records(shard.path)]
