"""Any control data: what becomes of every field is told by the dataset itself, and shown by --dry-run.

image, or bytes of a picture's size     patches; sides to the nearest multiple of 16
text                                    text tokens
integers and truth values               discrete tokens, values in [0, 1024)
floats                                  continuous tokens
more than 256 numbers, depth maps       left out unless --observation-keys names them
maps of labels, by their name           the same: segmentation, mask, depth and the like are no pictures
large grids of symbols                  pictures, unless --discrete-keys names them
four channels                           transparency on white; --frame-stack newest: the last of stacked gray frames
beside the observation                  left out, but for an instruction
"""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.control_source import ControlSource


@dataclass(frozen=True)
class Source(ControlSource):
    """Any episodes of a format that is read; their fields are found in the dataset."""

    formats: ClassVar[str] = (
        "RLDS, JAT, Minari, D4RL, LeRobot, raw RL Unplugged Atari, robomimic, LIBERO, ALOHA, ManiSkill"
    )
    example: ClassVar[str] = "gato-data ingest rlds taco_play --out taco-play --action-keys rel_actions_world"
