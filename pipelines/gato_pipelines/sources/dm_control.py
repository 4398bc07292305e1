"""DM Control Suite from state: floats, the separator and the action, so 7 (cartpole) to about 250 tokens a timestep.

RLDS with the features of TFDS's `rlu_control_suite`, `rlu_rwrl` or `rlu_locomotion`, or Minari's
files. Images are left out: `dm-control-pixels` reads those. The paper's randomised variants are
--family dm-control-random-small and dm-control-random-large.
"""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.control.form import ANY, SOME, Form
from gato_pipelines.control_source import ControlSource, default
from gato_schemas.episode import FieldModality


@dataclass(frozen=True)
class Source(ControlSource):
    """DM Control Suite episodes from state: floats and continuous actions."""

    licence: ClassVar[str] = "RL Unplugged: Apache-2.0"
    formats: ClassVar[str] = "RLDS (rlu_control_suite, rlu_rwrl, rlu_locomotion), Minari"
    families: ClassVar[tuple[str, ...]] = ("dm-control", "dm-control-random-small", "dm-control-random-large")
    tokens_per_timestep: ClassVar[str] = "7 (cartpole), 31 (walker)"
    example: ClassVar[str] = (
        "gato-data ingest dm-control rlu_control_suite/* --out dm-control --min-return-fraction 0.8"
    )
    modalities: ClassVar[frozenset[FieldModality]] = frozenset(("discrete", "continuous"))
    form: ClassVar[Form | None] = Form(
        says="continuous values and continuous actions",
        floats=SOME,
        symbols=ANY,
        action="continuous",
        unlike=("meta-world", "rgb-stacking", "playroom"),
    )

    family: str = default("family", "dm-control")
