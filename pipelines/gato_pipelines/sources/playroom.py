"""Playroom: images, an instruction and actions, all of them as the dataset has them.

The paper lists this row of its Table 1 and says nothing more of it, and its data are not public.
RLDS of other agents that follow instructions has the same form.
"""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.control.form import ANY, SOME, Form
from gato_pipelines.control_source import ControlSource, default


@dataclass(frozen=True)
class Source(ControlSource):
    """Playroom episodes: images, an instruction and actions."""

    licence: ClassVar[str] = "of your own recordings"
    formats: ClassVar[str] = "RLDS"
    families: ClassVar[tuple[str, ...]] = ("playroom",)
    tokens_per_timestep: ClassVar[str] = "as the dataset says"
    example: ClassVar[str] = "gato-data ingest playroom recordings --out playroom"
    form: ClassVar[Form | None] = Form(
        says="images, a text and actions",
        images=SOME,
        floats=ANY,
        symbols=ANY,
        texts=SOME,
        action=None,
    )

    family: str = default("family", "playroom")
