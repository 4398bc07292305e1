"""Which fused operations passed their test on this machine, kept between runs.

A verdict holds for the card, its driver, torch, Triton, the kernels' sources and the shapes that it
was found with; where any of them is another, or the file is damaged, the test runs again.
"""

import contextlib
import hashlib
import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch

from gato_data.files import user_cache
from gato_trainer.kernels.trial import tried

if TYPE_CHECKING:
    from gato_trainer.kernels import Shapes

_DRIVER = Path("/proc/driver/nvidia/version")


class _Kept(msgspec.Struct, frozen=True):
    """A file of verdicts: what they depend on, and for each operation None or why it cannot be used."""

    facts: dict[str, Any]
    verdicts: dict[str, str | None]


def verdicts(names: Sequence[str], shapes: "Shapes") -> dict[str, str | None]:
    """Why each operation cannot be used, or None: those of the cache, or of a test that fills it."""
    facts = _facts(shapes)
    name = hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()[:32]
    path = user_cache() / "kernels" / f"{name}.json"
    kept = _read(path)
    if kept is not None and kept.facts == facts and set(kept.verdicts) == set(names):
        note = f" (found before; delete {path} to test again)"
        return {name: None if reason is None else reason + note for name, reason in kept.verdicts.items()}
    found = tried(names, shapes)
    if not any(reason and "out of memory" in reason.lower() for reason in found.values()):  # it may be free next time
        _write(path, _Kept(facts, found))
    return found


def _facts(shapes: "Shapes") -> dict[str, Any]:
    """All that a verdict depends on, as JSON has it."""
    model, folder = shapes.model, Path(__file__).parent
    sources = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        sources.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    on_gpu = shapes.device.type == "cuda"
    driver = ""
    with contextlib.suppress(OSError):
        driver = _DRIVER.read_text().strip()
    return {
        "gpu": torch.cuda.get_device_name(shapes.device) if on_gpu else shapes.device.type,
        "capability": list(torch.cuda.get_device_capability(shapes.device)) if on_gpu else [],
        "driver": driver,
        "torch": str(torch.__version__),
        "cuda": str(torch.version.cuda),
        "triton": str(importlib.import_module("triton").__version__),
        "sources": sources.hexdigest(),
        "positions": model.positions,
        "sizes": [model.width, model.heads, model.feed_forward, model.vocabulary_size, model.local_positions],
        "patches": [model.patch_channels, model.patch_grid],
        "length": shapes.length,
        "windows": shapes.windows,
        "dtype": str(shapes.dtype),
    }


def _read(path: Path) -> _Kept | None:
    """What a file holds; None where there is none, or none that can be understood."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Kept)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None


def _write(path: Path, kept: _Kept) -> None:
    """Keep verdicts; where that cannot be, the next run tests again."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(msgspec.json.encode(kept))
        temporary.replace(path)
