"""BabyAI: the mission's text, 148 discrete values (direction, 7x7x3 grid), the separator, one action = 150 + text.

RLDS with `direction`, `image` and `mission` in the observation, JAT's parquet files (direction and
grid in one list), or Minari's files. The grid holds symbols, not colours: it becomes discrete
tokens, row by row, never patches, also where it shows the whole level; levels of 13x13 and more
need a larger --max-observation-tokens.
"""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.control.form import ANY, SOME, Form
from gato_pipelines.control.leaf_fields import LARGEST_GRID
from gato_pipelines.control_source import ControlSource, default


@dataclass(frozen=True)
class Source(ControlSource):
    """BabyAI episodes: mission text, a symbolic grid and one discrete action."""

    licence: ClassVar[str] = "JAT: Apache-2.0; minigrid: Apache-2.0"
    formats: ClassVar[str] = "RLDS, JAT, Minari"
    families: ClassVar[tuple[str, ...]] = ("babyai",)
    tokens_per_timestep: ClassVar[str] = "150 + text"
    example: ClassVar[str] = "gato-data ingest babyai jat-dataset/babyai-* --out babyai"
    form: ClassVar[Form | None] = Form(
        says="discrete values, perhaps text, and 1 discrete action",
        images=(0, 1),
        symbols=SOME,
        texts=ANY,
        action="discrete",
        width=(1, 1),
        takes_image=lambda height, width, channels: max(height, width) < LARGEST_GRID,
    )

    grids_below: ClassVar[int] = LARGEST_GRID

    family: str = default("family", "babyai")

    def task_name(self, variant: str) -> str:
        """The level: "go-to-local" for JAT's `babyai-go-to-local`."""
        return self.task or variant.removeprefix("babyai-")
