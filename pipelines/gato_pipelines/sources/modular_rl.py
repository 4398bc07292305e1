"""Modular RL: bodies with different limbs, so that every task has its own numbers of floats and actions.

No dataset was published. RLDS of your own, TFDS's `d4rl_mujoco_*` and `locomotion`, D4RL's HDF5
files, Minari's `mujoco/*` and JAT's `mujoco-*` hold the same kind of data: 11 floats and 3 actions
(hopper), 17 and 6 (walker).
"""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.control.form import ANY, SOME, Form
from gato_pipelines.control_source import ControlSource, default
from gato_schemas.episode import FieldModality


@dataclass(frozen=True)
class Source(ControlSource):
    """Modular RL episodes: floats and continuous actions, their numbers differing by body."""

    licence: ClassVar[str] = "of your own recordings; D4RL: CC-BY-4.0; JAT: Apache-2.0"
    formats: ClassVar[str] = "RLDS (d4rl_mujoco_*, locomotion), D4RL, Minari, JAT"
    families: ClassVar[tuple[str, ...]] = ("modular-rl",)
    tokens_per_timestep: ClassVar[str] = "12 to 24"
    example: ClassVar[str] = "gato-data ingest modular-rl modular_rl/* --out modular-rl --min-return-fraction 0.8"
    modalities: ClassVar[frozenset[FieldModality]] = frozenset(("discrete", "continuous"))
    form: ClassVar[Form | None] = Form(
        says="continuous values and continuous actions",
        floats=SOME,
        symbols=ANY,
        action="continuous",
        unlike=("meta-world", "rgb-stacking", "playroom"),
    )

    family: str = default("family", "modular-rl")

    def task_name(self, variant: str) -> str:
        """The body: "hopper" for JAT's `mujoco-hopper`."""
        return self.task or variant.removeprefix("mujoco-")
