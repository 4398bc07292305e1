"""Episodes of ALOHA and ACT in HDF5, a file each: cameras, joints of two arms, targets of the joints as actions.

Actions are absolute joint angles in radians, which reach beyond [-1, 1]: see --action-range.
"""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.containers.aloha import AlohaContainer
from gato_pipelines.containers.container import Colours
from gato_pipelines.control_source import ControlSource
from gato_pipelines.source import setting


@dataclass(frozen=True)
class Source(ControlSource):
    """ALOHA episodes: cameras, joints of two arms and their targets."""

    licence: ClassVar[str] = "of your own recordings; act: MIT"
    formats: ClassVar[str] = "ALOHA HDF5 (ACT, Mobile ALOHA)"
    tokens_per_timestep: ClassVar[str] = "1,200 patches for each camera of 640x480: see --image-size"
    example: ClassVar[str] = "gato-data ingest aloha fold_shirt --out shirt --action-range minmax --image-size 112x144"
    only: ClassVar[str] = AlohaContainer.format

    colours: Colours = setting(
        "swapped", "Of JPEG frames: red and blue change places, as cv2.imdecode gives them to ACT, or as stored."
    )
    instruction: str = setting(
        "", "What the robot is told to do, observed as a text; by default the name of the folder."
    )
