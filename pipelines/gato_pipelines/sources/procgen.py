"""Procgen: 16 patches of 64x64 pixels, the separator and one of 15 actions = 18 tokens a timestep."""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.control.form import Form
from gato_pipelines.control_source import ControlSource, default


@dataclass(frozen=True)
class Source(ControlSource):
    """Procgen episodes: a frame of 64x64 pixels and one discrete action."""

    licence: ClassVar[str] = "of your own recordings; procgen: MIT"
    formats: ClassVar[str] = "RLDS, Minari"
    families: ClassVar[tuple[str, ...]] = ("procgen",)
    tokens_per_timestep: ClassVar[str] = "18"
    example: ClassVar[str] = "gato-data ingest procgen procgen-rlds/* --out procgen"
    form: ClassVar[Form | None] = Form(
        says="1 image of 64x64x3 and 1 discrete action",
        images=(1, 1),
        action="discrete",
        width=(1, 1),
        takes_image=lambda *shape: shape == (64, 64, 3),
    )

    family: str = default("family", "procgen")
