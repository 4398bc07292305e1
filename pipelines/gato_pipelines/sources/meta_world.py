"""Meta-World: 39 floats, the separator and 4 actions = 44 tokens a timestep.

RLDS, JAT's parquet files or Minari's files. Actions are outputs of policies and reach beyond [-1,
1], where the simulator clips them, as the tokenizer does. The paper's observations have no text: an
instruction beside them is left out unless --instruction-key names it.
"""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.control.form import ANY, Form
from gato_pipelines.control.instructions import NONE
from gato_pipelines.control_source import ControlSource, default


@dataclass(frozen=True)
class Source(ControlSource):
    """Meta-World episodes: 39 floats and 4 continuous actions."""

    licence: ClassVar[str] = "JAT: Apache-2.0; metaworld: MIT"
    formats: ClassVar[str] = "RLDS, JAT, Minari"
    families: ClassVar[tuple[str, ...]] = ("meta-world",)
    tokens_per_timestep: ClassVar[str] = "44"
    example: ClassVar[str] = "gato-data ingest meta-world jat-dataset/metaworld-* --out meta-world"
    form: ClassVar[Form | None] = Form(
        says="39 continuous values and 4 continuous actions",
        images=(0, 4),
        floats=(39, 39),
        texts=ANY,
        action="continuous",
        width=(4, 4),
    )

    family: str = default("family", "meta-world")
    instruction_key: str = default("instruction_key", NONE)

    def task_name(self, variant: str) -> str:
        """The task: "reach" for JAT's `metaworld-reach`."""
        return self.task or variant.removeprefix("metaworld-")
