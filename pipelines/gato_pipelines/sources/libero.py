"""LIBERO's demonstrations in HDF5, one file per task: two cameras, the robot's state, an instruction, 7 actions.

A suite is a folder of files. Images are turned upright, and paired with actions as LIBERO's own
training does.
"""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.containers.container import ImageRows, Pairing
from gato_pipelines.containers.libero import LiberoContainer
from gato_pipelines.control_source import ControlSource
from gato_pipelines.source import setting


@dataclass(frozen=True)
class Source(ControlSource):
    """LIBERO demonstrations: two cameras, the robot's state, an instruction and continuous actions."""

    licence: ClassVar[str] = "LIBERO: CC BY 4.0"
    formats: ClassVar[str] = "LIBERO HDF5"
    tokens_per_timestep: ClassVar[str] = "151 + text for cameras of 128x128"
    example: ClassVar[str] = "gato-data ingest libero datasets/libero_spatial --out libero-spatial"
    only: ClassVar[str] = LiberoContainer.format

    image_rows: ImageRows = setting(
        "auto",
        "How images come upright: their rows in reverse (flip), turned by 180 degrees (rotate), or as stored; auto: "
        "flip, unless the file says that they are upright.",
    )
    pairing: Pairing = setting(
        "as-stored",
        "Which action an observation goes with: that of its row, after which it was taken, or the next one.",
    )
    instruction: str = setting("", "What the robot is told to do, observed as a text; by default what each file says.")
