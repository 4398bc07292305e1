"""DM Manipulation Playground: the physics state of a robot arm and continuous actions.

The paper's data are not public; RLDS of other manipulation tasks has the same form. Images are left
out, because the paper's agent saw states.
"""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.control.form import ANY, SOME, Form
from gato_pipelines.control.instructions import NONE
from gato_pipelines.control_source import ControlSource, default
from gato_schemas.episode import FieldModality


@dataclass(frozen=True)
class Source(ControlSource):
    """DM Manipulation Playground episodes: states and continuous actions."""

    licence: ClassVar[str] = "of your own recordings"
    formats: ClassVar[str] = "RLDS, Minari, D4RL"
    families: ClassVar[tuple[str, ...]] = ("manipulation-playground",)
    tokens_per_timestep: ClassVar[str] = "as the dataset says"
    example: ClassVar[str] = "gato-data ingest manipulation-playground panda-stack --out playground"
    modalities: ClassVar[frozenset[FieldModality]] = frozenset(("discrete", "continuous"))
    form: ClassVar[Form | None] = Form(
        says="continuous values and continuous actions",
        floats=SOME,
        symbols=ANY,
        texts=ANY,
        action="continuous",
    )

    family: str = default("family", "manipulation-playground")
    instruction_key: str = default("instruction_key", NONE)
