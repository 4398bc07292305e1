"""ALE Atari from RLDS with the features of TFDS's `rlu_atari`: 20 patches, separator, action = 22 tokens a timestep."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from gato_pipelines.rlds.directory import Directory
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds_source import RldsSource

_RUN = re.compile(r"^(?P<game>.+?)_(?P<run>run_\d+)$")


@dataclass(frozen=True)
class Source(RldsSource):
    """ALE Atari episodes: a gray or RGB frame and one discrete action."""

    licence: ClassVar[str] = "RL Unplugged: Apache-2.0; frames show commercial games"

    family: str = field(default="atari", metadata=RldsSource.__dataclass_fields__["family"].metadata)
    image_size: tuple[int, int] | None = field(
        default=(64, 80), metadata=RldsSource.__dataclass_fields__["image_size"].metadata
    )

    def task_name(self, directory: Directory) -> str:
        """The game in lower case: "breakout" for the config `Breakout_run_1`."""
        match = _RUN.match(directory.config)
        return self.task or (match["game"].lower() if match else super().task_name(directory))

    def agent_name(self, directory: Directory) -> str:
        """The training run: "run_1"."""
        match = _RUN.match(directory.config)
        return match["run"] if match else super().agent_name(directory)

    @cached_property
    def id_leaves(self) -> tuple[str, ...]:
        """Episodes are numbered within a checkpoint of the agent."""
        return ("checkpoint_id", "episode_id")

    def source_id(self, episode: RldsEpisode) -> str:
        """Checkpoint and episode."""
        return "/".join(str(episode.episode[leaf]) for leaf in self.id_leaves if leaf in episode.episode)
