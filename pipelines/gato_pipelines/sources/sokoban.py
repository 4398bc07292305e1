"""Sokoban: 160x160 pixels, one patch for each cell of 16x16, so 100 patches, the separator, one action = 102 tokens.

Rooms of other sizes keep one patch a cell, because images keep the nearest multiple of 16. There is no public dataset.
"""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.control_source import ControlSource, default


@dataclass(frozen=True)
class Source(ControlSource):
    """Sokoban episodes: a room, one patch a cell, and one discrete action."""

    licence: ClassVar[str] = "of your own recordings; gym-sokoban: MIT"
    formats: ClassVar[str] = "RLDS, Minari"
    families: ClassVar[tuple[str, ...]] = ("sokoban",)
    tokens_per_timestep: ClassVar[str] = "102 (10x10 cells)"
    example: ClassVar[str] = "gato-data ingest sokoban rooms --out sokoban --require-success success"

    family: str = default("family", "sokoban")
