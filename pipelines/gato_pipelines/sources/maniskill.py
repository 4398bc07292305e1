"""ManiSkill's trajectories in HDF5 with the JSON beside them: cameras or states, actions of a control mode."""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.containers.container import SuccessAt
from gato_pipelines.containers.maniskill import ManiskillContainer
from gato_pipelines.control_source import ControlSource
from gato_pipelines.source import setting


@dataclass(frozen=True)
class Source(ControlSource):
    """ManiSkill trajectories: cameras or states, and continuous actions."""

    licence: ClassVar[str] = "ManiSkill: assets CC BY-NC 4.0; demonstrations as their page says"
    formats: ClassVar[str] = "ManiSkill .h5 with its .json"
    tokens_per_timestep: ClassVar[str] = "as the file says: 50 + text for PickCube from state"
    example: ClassVar[str] = (
        "gato-data ingest maniskill trajectory.rgb.pd_ee_delta_pose.physx_cpu.h5 --out pick --require-success success"
    )
    only: ClassVar[str] = ManiskillContainer.format

    success: SuccessAt = setting("end", "Whether an episode succeeded: at its end, as its JSON counts, or at any time.")
    instruction: str = setting(
        "", "What the robot is told to do, observed as a text; by default the name of the environment."
    )
