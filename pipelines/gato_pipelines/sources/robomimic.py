"""robomimic's demonstrations in HDF5, and MimicGen's and RoboCasa's: cameras, robot states and the object's, an action.

Filter keys are splits. `object` is the simulator's state of what is manipulated, which no camera
shows: --drop-keys object leaves it out. What the file cannot settle is as robomimic trains on it.
"""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.containers.container import ActionSet
from gato_pipelines.containers.robomimic import RobomimicContainer
from gato_pipelines.control_source import ControlSource
from gato_pipelines.source import setting


@dataclass(frozen=True)
class Source(ControlSource):
    """robomimic demonstrations: cameras, the state of a robot and its actions."""

    licence: ClassVar[str] = "as the page of the dataset says"
    formats: ClassVar[str] = "robomimic HDF5 (also MimicGen, RoboCasa)"
    tokens_per_timestep: ClassVar[str] = "as the file says: 93 for Lift with two cameras of 84x84"
    example: ClassVar[str] = "gato-data ingest robomimic lift/ph/image_v15.hdf5 --out lift --drop-keys object"
    only: ClassVar[str] = RobomimicContainer.format

    actions: ActionSet = setting(
        "actions", "Which of the stored actions: as the environment took them, absolute ones, or a group of both."
    )
    instruction: str = setting("", "What the robot is told to do, observed as a text; by default what RoboCasa says.")
