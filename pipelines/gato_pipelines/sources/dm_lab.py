"""DM Lab: a frame of 72x96 pixels padded to 80x96, so 30 patches, the separator and one action = 32 tokens a timestep.

RLDS with the features of TFDS's `rlu_dmlab_*`. The previous action and reward that those
observations repeat are left out: they are in the timestep before. `--drop-keys ""` keeps them.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from gato_pipelines.control.form import ANY, Form
from gato_pipelines.control_source import ControlSource, default


@dataclass(frozen=True)
class Source(ControlSource):
    """DM Lab episodes: a frame, an instruction if there is one, and one discrete action."""

    licence: ClassVar[str] = "RL Unplugged: Apache-2.0"
    formats: ClassVar[str] = "RLDS (rlu_dmlab_*)"
    families: ClassVar[tuple[str, ...]] = ("dm-lab",)
    tokens_per_timestep: ClassVar[str] = "32"
    example: ClassVar[str] = "gato-data ingest dm-lab rlu_dmlab_seekavoid_arena01 --out seekavoid"
    form: ClassVar[Form | None] = Form(
        says="1 colour image, perhaps text, and 1 discrete action",
        images=(1, 1),
        texts=ANY,
        action="discrete",
        width=(1, 1),
        takes_image=lambda height, width, channels: channels == 3,
        unlike=("procgen", "sokoban"),
    )

    family: str = default("family", "dm-lab")
    image_fit: Literal["resize", "pad"] = default("image_fit", "pad")
    drop_keys: tuple[str, ...] = default("drop_keys", ("last_action", "last_reward"))
