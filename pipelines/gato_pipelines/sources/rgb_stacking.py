"""RGB Stacking, simulated and real: two cameras, joint angles, pose and gripper, a continuous action.

128 patches of two cameras of 128x128, about 24 floats, the separator and 5 actions: 158 tokens a
timestep in the paper. The poses of the objects, which the simulator gives and the robot does not
know, are left out as in the paper. Open X-Embodiment style RLDS is the public counterpart of the
real robot: --family rgb-stacking-real. The ranges of the official actions differ (+-0.07, +-1,
+-255), so that each element is mapped by its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.control.form import ANY, SOME, Form
from gato_pipelines.control_source import ControlSource, default
from gato_pipelines.source import ActionRange

_OBJECT = "the state of an object, which the paper's observations do not have"


@dataclass(frozen=True)
class Source(ControlSource):
    """RGB Stacking episodes: two cameras, the robot's state and continuous actions."""

    licence: ClassVar[str] = "of your own recordings; rgb_stacking: Apache-2.0; Open X-Embodiment: each set its own"
    formats: ClassVar[str] = "RLDS (also Open X-Embodiment)"
    families: ClassVar[tuple[str, ...]] = ("rgb-stacking-sim", "rgb-stacking-real")
    tokens_per_timestep: ClassVar[str] = "62 (two cameras of 64x64), 158 in the paper"
    example: ClassVar[str] = "gato-data ingest rgb-stacking triplet4 --out rgb-stacking --require-success success"
    unwanted: ClassVar[Mapping[str, str]] = {
        pattern: _OBJECT
        for colour in ("red", "green", "blue")
        for pattern in (f"{colour}_*", f"*/{colour}/*", f"*_{colour}/*")
    }
    form: ClassVar[Form | None] = Form(
        says="2 to 4 images, continuous values, no text and 3 to 8 continuous actions",
        images=(2, 4),
        floats=SOME,
        symbols=ANY,
        action="continuous",
        width=(3, 8),
    )

    family: str = default("family", "rgb-stacking-sim")
    action_range: ActionRange = default("action_range", "minmax")
