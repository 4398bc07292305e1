"""DM Control Suite from pixels: 16 patches of a frame of 64x64, the separator and the action.

There is no public set of these: they are rendered again, or recorded. States beside the frames are
left out.
"""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.control.form import Form
from gato_pipelines.control_source import ControlSource, default
from gato_schemas.episode import FieldModality


@dataclass(frozen=True)
class Source(ControlSource):
    """DM Control Suite episodes from pixels: frames and continuous actions."""

    licence: ClassVar[str] = "of your own recordings; dm_control: Apache-2.0"
    formats: ClassVar[str] = "RLDS, Minari"
    families: ClassVar[tuple[str, ...]] = ("dm-control-pixels",)
    tokens_per_timestep: ClassVar[str] = "18 (cartpole at 64x64), 23 (walker)"
    example: ClassVar[str] = "gato-data ingest dm-control-pixels recordings/* --out dm-control-pixels"
    modalities: ClassVar[frozenset[FieldModality]] = frozenset(("image",))
    form: ClassVar[Form | None] = Form(says="1 image and continuous actions", images=(1, 1), action="continuous")

    family: str = default("family", "dm-control-pixels")
