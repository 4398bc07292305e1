"""Sokoban: 160x160 pixels, one patch for each cell of 16x16, so 100 patches, the separator, one action = 102 tokens.

Rooms of other sizes keep one patch a cell, because images keep the nearest multiple of 16. There is
no public dataset.
"""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.control.form import Form
from gato_pipelines.control_source import ControlSource, default
from gato_schemas.sequence import PATCH_SIZE

_SMALLEST_ROOM = 5 * PATCH_SIZE
"""Pixels on a side of the smallest room: five cells."""


@dataclass(frozen=True)
class Source(ControlSource):
    """Sokoban episodes: a room, one patch a cell, and one discrete action."""

    licence: ClassVar[str] = "of your own recordings; gym-sokoban: MIT"
    formats: ClassVar[str] = "RLDS, Minari"
    families: ClassVar[tuple[str, ...]] = ("sokoban",)
    tokens_per_timestep: ClassVar[str] = "102 (10x10 cells)"
    example: ClassVar[str] = "gato-data ingest sokoban rooms --out sokoban --require-success success"
    form: ClassVar[Form | None] = Form(
        says="1 colour image of whole cells of 16x16 pixels and 1 discrete action",
        images=(1, 1),
        action="discrete",
        width=(1, 1),
        takes_image=lambda height, width, channels: (
            height % PATCH_SIZE == width % PATCH_SIZE == 0 and min(height, width) >= _SMALLEST_ROOM and channels == 3
        ),
    )

    family: str = default("family", "sokoban")
