"""LeRobot datasets, v2.0, v2.1 and v3.0: cameras, state, instruction and action as its own trainers take them.

observation.*                cameras to patches, numbers to tokens; names without the prefix, "." as "/"
image, wrist_image, state    the same in datasets without that prefix (openpi's)
action, or actions           clipped to [-1, 1] and counted: --action-range stats takes the dataset's own ranges
task_index                   the text of each timestep's task
next.*                       reward, the terminal state, success
depth                        left out unless --observation-keys names it: then the upper 8 bits as a gray picture
"""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.control_source import ControlSource
from gato_pipelines.source import setting


@dataclass(frozen=True)
class Source(ControlSource):
    """LeRobot episodes: cameras, states, an instruction and continuous actions."""

    formats: ClassVar[str] = "LeRobot v2.0, v2.1, v3.0"
    example: ClassVar[str] = "gato-data ingest lerobot svla_so101_pickplace --out pick-place --action-range stats"
    read_by_part: ClassVar[str] = r"^(data|videos)/"
    only: ClassVar[str] = "LeRobot"

    action_key: str = setting("", "Column of the action, such as action.joints; by default action, else actions.")
