"""Attention in tiles: which shapes the kernels take, and how each is cut up."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from gato_trainer.kernels import Shapes

SIZES = (16, 32, 64, 128)
"""Head sizes that the kernels take."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """How one kernel is cut up: queries and keys of a tile, warps of a program, stages of its software pipeline."""

    rows: int
    keys: int
    warps: int
    stages: int

    def options(self) -> dict[str, int]:
        """The arguments of a launch."""
        return {"ROWS": self.rows, "KEYS": self.keys, "num_warps": self.warps, "num_stages": self.stages}


@dataclass(frozen=True, slots=True)
class Cut:
    """The tiles of the three kernels that compute scores."""

    forward: Tiles
    queries: Tiles
    keys: Tiles


CUTS: dict[tuple[bool, bool], Cut] = {
    (True, False): Cut(Tiles(64, 32, 4, 2), Tiles(64, 32, 4, 2), Tiles(32, 64, 4, 2)),
    (True, True): Cut(Tiles(64, 32, 4, 2), Tiles(32, 32, 4, 2), Tiles(32, 32, 4, 2)),
    (False, False): Cut(Tiles(128, 64, 8, 2), Tiles(64, 64, 4, 2), Tiles(64, 64, 4, 2)),
    (False, True): Cut(Tiles(128, 64, 8, 2), Tiles(64, 64, 8, 2), Tiles(32, 64, 8, 2)),
}
"""By whether there is a relative term, and whether the head size is above 32:
what compiles without spills."""


def why_not(shapes: "Shapes") -> str | None:
    """Why these kernels do not take the shapes, in words that follow "because", or None."""
    size = shapes.model.head_size
    if size not in SIZES:
        return f"its heads have {size} features, and the kernels take {', '.join(map(str, SIZES))}"
    if shapes.device.type == "cuda" and shapes.dtype not in (torch.bfloat16, torch.float16):
        return f"it computes in {str(shapes.dtype).removeprefix('torch.')}, and the kernels take bfloat16 and float16"
    if 3 * shapes.model.width * shapes.length >= 2**31:
        return f"a window of {shapes.length} tokens of width {shapes.model.width} is too large for the kernels"
    return None


def cut(size: int, relative: bool) -> Cut:
    """The tiles for a head size."""
    return CUTS[relative, size > 32]
