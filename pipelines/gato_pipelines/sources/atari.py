"""ALE Atari: 20 patches, the separator and one action = 22 tokens a timestep.

RLDS with the features of TFDS's `rlu_atari`, raw RL Unplugged files, JAT's parquet files, or
Minari's. Of stacked frames the newest is taken, as the timesteps before hold the others.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from gato_pipelines.containers.container import Container
from gato_pipelines.control.form import Form
from gato_pipelines.control.frame_stacks import FrameStack
from gato_pipelines.control_source import ControlSource, default

_RUN = re.compile(r"^(?P<game>.+?)_(?P<run>run_\d+)$")


@dataclass(frozen=True)
class Source(ControlSource):
    """ALE Atari episodes: a gray or RGB frame and one discrete action."""

    licence: ClassVar[str] = "RL Unplugged and JAT: Apache-2.0; frames show commercial games"
    formats: ClassVar[str] = "RLDS (rlu_atari), raw RL Unplugged, JAT, Minari"
    families: ClassVar[tuple[str, ...]] = ("atari", "atari-extended")
    tokens_per_timestep: ClassVar[str] = "22"
    example: ClassVar[str] = "gato-data ingest atari breakout-rlds --out breakout --holdout 0.1"
    form: ClassVar[Form | None] = Form(
        says="1 image and 1 discrete action",
        images=(1, 1),
        action="discrete",
        width=(1, 1),
        unlike=("procgen", "sokoban"),
    )

    family: str = default("family", "atari")
    image_size: tuple[int, int] | None = default("image_size", (64, 80))
    frame_stack: FrameStack = default("frame_stack", "newest")

    def task_name(self, variant: str) -> str:
        """The game in lower case: "breakout" for `Breakout_run_1` and `atari-breakout`."""
        match = _RUN.match(variant)
        return self.task or (match["game"] if match else variant.removeprefix("atari-")).lower()

    def agent_name(self, container: Container, variant: str) -> str:
        """The training run: "run_1"."""
        match = _RUN.match(variant)
        return match["run"] if match else super().agent_name(container, variant)

    @cached_property
    def id_leaves(self) -> tuple[str, ...]:
        """Episodes are numbered within a checkpoint of the agent."""
        return ("checkpoint_id", "episode_id")
