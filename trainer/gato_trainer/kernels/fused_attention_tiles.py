"""Attention in tiles: which shapes the kernels take, and how each is cut up."""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import torch

from gato_data.files import user_cache

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
what compiles without spills for sm_90."""

TRIED: dict[tuple[bool, bool], dict[str, tuple[Tiles, ...]]] = {
    (True, False): {
        "forward": (Tiles(64, 64, 4, 2),),
        "queries": (Tiles(64, 64, 8, 2),),
        "keys": (Tiles(64, 64, 8, 2),),
    },
    (True, True): {
        "forward": (Tiles(128, 64, 8, 1),),
        "queries": (Tiles(64, 32, 4, 2),),
        "keys": (Tiles(32, 64, 4, 2),),
    },
    (False, False): {
        "forward": (Tiles(64, 64, 4, 2),),
        "queries": (Tiles(128, 64, 8, 2),),
        "keys": (Tiles(64, 64, 8, 2),),
    },
    (False, True): {
        "forward": (Tiles(64, 64, 4, 2),),
        "queries": (Tiles(64, 64, 4, 2),),
        "keys": (Tiles(64, 64, 8, 2),),
    },
}
"""What else each kernel is timed with on a card: larger tiles issue fewer instructions, and may spill a little."""


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
    """The tiles for a head size: of `CUTS`, or what `fused_attention_tuning.tune` found faster on this card."""
    adopt()
    return CUTS[relative, size > 32]


@functools.cache
def adopt() -> None:
    """Put what is kept of this card's tiles into `CUTS`, once a process; never in the interpreter."""
    if (path := kept_path()) is not None:
        with contextlib.suppress(OSError, msgspec.MsgspecError):  # no file, or one that is damaged
            for kept in msgspec.json.decode(path.read_bytes(), type=list[KeptCut]):
                CUTS[kept.relative, kept.large] = kept.cut


class KeptCut(msgspec.Struct, frozen=True):
    """One entry of `CUTS` in a file."""

    relative: bool
    large: bool
    cut: Cut


def kept_path() -> Path | None:
    """The file for this card, torch, Triton and sources of the kernels; None where nothing is tuned."""
    if not torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1":
        return None
    facts = [torch.cuda.get_device_name(), torch.__version__, importlib.metadata.version("triton")]
    sources = (path.read_text() for path in sorted(Path(__file__).parent.glob("fused_attention*.py")))
    name = hashlib.sha256("\0".join([*facts, *sources]).encode()).hexdigest()[:32]
    return user_cache() / "kernels" / f"tiles-{name}.json"


def keep(relative: bool, large: bool, found: Cut) -> None:
    """Use an entry from now on, and in the processes that come; a folder that cannot be written costs only that."""
    adopt()
    CUTS[relative, large] = found
    path = kept_path()
    if path is None:
        return
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        kept = msgspec.json.decode(path.read_bytes(), type=list[KeptCut]) if path.exists() else []
        kept = [entry for entry in kept if (entry.relative, entry.large) != (relative, large)]
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(msgspec.json.encode([*kept, KeptCut(relative, large, found)]))
        temporary.replace(path)


def is_kept(relative: bool, large: bool) -> bool:
    """Whether an entry was tuned on this card before."""
    path = kept_path()
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        if path is not None:
            kept = msgspec.json.decode(path.read_bytes(), type=list[KeptCut])
            return any((entry.relative, entry.large) == (relative, large) for entry in kept)
    return False
