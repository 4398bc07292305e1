"""A policy's episodes as RLDS."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gato_data.errors import OutputError
from gato_pipelines.environments.chance import Chance
from gato_pipelines.environments.environment import Environment
from gato_pipelines.environments.play import Actor, PlayedEpisode, play_episodes
from gato_pipelines.recorders.recording import Recording, kept, write_recording
from gato_pipelines.rlds.versions import DATASET_INFO
from gato_pipelines.rollout.policy import policy_name
from gato_pipelines.rollout.subjects import Subject

_SHARD = 1000
"""Episodes of a file."""


def folder_of(task: str) -> str:
    """The name of a task's folder; it lies where it should, whatever a run calls its tasks."""
    return re.sub(r"^\.+", "-", task.replace("/", "-"))


def check_places(places: Iterable[Path]) -> None:
    """Refuse, before anything is played, folders that hold a recording already, and one for two of them.

    Raises:
        OutputError: there is such a folder.
    """
    seen: set[Path] = set()
    for place in places:
        if place in seen:
            raise OutputError(f"two tasks would be recorded in {place}: play them one at a time, with --task")
        seen.add(place)
        if (place / DATASET_INFO).exists():
            raise OutputError(f"{place} already holds a finished recording: give another folder")


def record_episodes(
    out: Path,
    subject: Subject,
    environments: Sequence[Environment],
    actor: Actor,
    chances: Iterable[Chance],
    watched: Callable[[Iterator[PlayedEpisode]], Iterator[PlayedEpisode]],
    identity: Mapping[str, Any],
    count: int,
) -> Recording:
    """Play episodes and write them, as `gato-data record` does.

    Args:
        out: the dataset's version folder.
        subject: what is played.
        environments: in what.
        actor: the policy.
        chances: of `count` episodes.
        watched: what every episode goes through.
        identity: of the policy.
        count: how many episodes.

    Raises:
        OutputError: `out` holds something else, or a finished recording.
    """
    first, recorder = environments[0], subject.recorder
    card = recorder.card(first, policy_name(identity))
    played = watched(play_episodes(environments, actor, chances, keep=kept(first.observations)))
    episodes = (recorder.episode(card.features, play, first) for play in played)
    return write_recording(out, card, episodes, count, shards=-(-count // _SHARD))
