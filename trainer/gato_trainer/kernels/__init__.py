"""The fusable operations of the model, behind one switch.

`reference.py` holds each of them in plain torch: the definition of what is right. A fused
implementation has the same signature and stands in a file of its own, `fused_*.py`, which only this
module imports, and only when a run asks for it: a machine without Triton or without a GPU never
gets there. Parameters and checkpoints do not depend on the choice.

To add a fused operation, write `fused_<what>.py` with

- a function that has the name and the signature of a field of `Operations`. Make it of
  `torch.library.custom_op` if a block calls it, so that torch.compile passes it by;
- `why_not(shapes) -> str | None`: why it does not take these shapes, in words that follow
  "because", or None;
- where it has a choice of tiles, `tune(shapes)`, which makes it before the test.

and name it in `FUSED`. `self_test.py` then runs it beside its reference before a run, in a process of
its own (`trial.py`), and `verdicts.py` keeps what came of it for the runs after.
"""

import dataclasses
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gato_data.errors import TrainError
from gato_trainer.config import ModelConfig
from gato_trainer.kernels import reference

FUSED = {
    "add_norm": "fused_norm",
    "geglu": "fused_geglu",
    "embed": "fused_embedding",
    "patch_block": "fused_patch_block",
    "linear_cross_entropy": "fused_cross_entropy",
    "relative_attention": "fused_relative_attention",
    "rotary_attention": "fused_rotary_attention",
}
"""Which module of this package holds the fused implementation of a field of `Operations`."""

TRITON_VERSIONS = ("3.6", "3.7")
"""Releases of Triton that the kernels were tested with: those that torch 2.11 to 2.13 come with."""

CAPABILITY = (8, 0)
"""Lowest compute capability: the first with bf16 and asynchronous copies."""

_UNUSED = {"transformer-xl": "rotary_attention", "rope": "relative_attention"}


@dataclass(frozen=True, slots=True)
class Operations:
    """One implementation of every fusable operation; signatures and shapes are those of `reference`.

    Attributes:
        name: "reference", "fused", or "mixed" if some operations fell back.
        fused: the fields that hold a fused implementation.
        summary: which operations are fused, and why others are not; one line for the run's log.
    """

    name: str
    linear: Callable[..., Tensor]
    add_norm: Callable[..., tuple[Tensor, Tensor]]
    add: Callable[..., Tensor]
    geglu: Callable[[Tensor, Tensor], Tensor]
    relative_attention: Callable[..., Tensor]
    rotary_attention: Callable[..., Tensor]
    embed: Callable[..., Tensor]
    patch_block: Callable[..., Tensor]
    linear_cross_entropy: Callable[..., tuple[Tensor, Tensor]]
    fused: frozenset[str] = frozenset()
    summary: str = "kernels: reference"


PATCH_CHANNELS = (32, 64)
"""Channels of the patch block that its kernels take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """What a run will ask of the operations.

    Attributes:
        windows: that are tested at once, B. length: tokens of a window, T.
        dtype: that is computed in. device: where.
    """

    model: ModelConfig
    windows: int
    length: int
    dtype: torch.dtype
    device: torch.device


REFERENCE = Operations(
    name="reference",
    linear=reference.linear,
    add_norm=reference.add_norm,
    add=reference.add,
    geglu=reference.geglu,
    relative_attention=reference.relative_attention,
    rotary_attention=reference.rotary_attention,
    embed=reference.embed,
    patch_block=reference.patch_block,
    linear_cross_entropy=reference.linear_cross_entropy,
)


def operations(
    kernels: str, shapes: Shapes, decided: Callable[[Callable[[], Any]], Any] = lambda ask: ask()
) -> Operations:
    """The operations for `--kernels`.

    Args:
        kernels: "reference"; "auto", which takes every fused operation that runs here and passes
            its test; or "fused", which wants all of them. "fused" also takes Triton's interpreter
            (`TRITON_INTERPRET=1`), which needs no GPU and is far too slow for anything but tests.
        shapes: of the run.
        decided: `World.decided`, so that all processes do what the first one finds.

    Raises:
        TrainError: `kernels` is "fused" and an operation is not available; names each with its
            reason.
    """
    if kernels == "reference":
        return REFERENCE
    wanted = _wanted(shapes)
    reasons: dict[str, str | None] = decided(lambda: _reasons(wanted, shapes, interpreter=kernels == "fused"))
    fused = {name: _loaded(name, wanted[name]) for name, reason in reasons.items() if reason is None}
    missing = {name: reason for name, reason in reasons.items() if reason is not None}
    listed = _listed(missing)
    if kernels == "fused" and missing:
        raise TrainError(f"--kernels fused is not available: {listed}; use --kernels auto or reference")
    if not fused:
        return dataclasses.replace(REFERENCE, summary=f"kernels: reference, because {listed}")
    summary = f"kernels: fused {', '.join(fused)}"
    if missing:
        summary += f"; reference for the rest, because {listed}"
    name = "mixed" if missing else "fused"
    return dataclasses.replace(REFERENCE, **fused, name=name, fused=frozenset(fused), summary=summary)


def expected(kernels: str, shapes: Shapes) -> frozenset[str]:
    """The operations that would be fused on a GPU that is not at hand, if all of them pass their test there."""
    from gato_trainer.kernels.fused_attention_tiles import why_not

    if kernels == "reference" or shapes.device.type != "cuda":
        return frozenset()
    names = set(_wanted(shapes))
    if why_not(shapes) is not None:
        names = {name for name in names if not name.endswith("attention")}
    if shapes.model.patch_channels not in PATCH_CHANNELS:
        names.discard("patch_block")
    return frozenset(names)


def _wanted(shapes: Shapes) -> dict[str, str]:
    return {name: module for name, module in FUSED.items() if name != _UNUSED[shapes.model.positions]}


def _reasons(wanted: dict[str, str], shapes: Shapes, *, interpreter: bool) -> dict[str, str | None]:
    """For every operation why it cannot be used, or None."""
    if reason := _why_not_here(shapes.device, interpreter=interpreter):
        return dict.fromkeys(wanted, reason)
    if shapes.device.type != "cuda":  # the interpreter cannot harm the process
        return {name: judge(name, module, shapes) for name, module in wanted.items()}
    from gato_trainer.kernels.verdicts import verdicts

    return verdicts(tuple(wanted), shapes)


def _listed(missing: dict[str, str]) -> str:
    """Every operation that is missing with its reason, in one line; a reason that all have once."""
    if len(set(missing.values())) == 1 and len(missing) > 1:
        return next(iter(missing.values()))
    return "; ".join(f"{name}: {reason}" for name, reason in missing.items())


def _why_not_here(device: torch.device, *, interpreter: bool) -> str | None:
    """Why no fused operation runs on this machine, or None. Triton is not imported for a device it cannot use."""
    interpreting = os.environ.get("TRITON_INTERPRET") == "1"
    if device.type != "cuda" and not (interpreter and interpreting):
        return f"the device is {device.type}, and the fused kernels need a CUDA GPU"
    try:
        triton = importlib.import_module("triton")
    except ImportError as error:
        return f"Triton cannot be imported ({error})"
    if ".".join(triton.__version__.split(".")[:2]) not in TRITON_VERSIONS:
        tested = " and ".join(TRITON_VERSIONS)
        return f"this is Triton {triton.__version__}, the kernels were tested with {tested}"
    if interpreting:
        return None if interpreter else "TRITON_INTERPRET is set, and Triton's interpreter is only for tests"
    if torch.version.hip is not None:
        return "this torch is built for AMD GPUs, and the kernels were written for NVIDIA's"
    capability = torch.cuda.get_device_capability(device)
    if capability < CAPABILITY:
        name, (major, minor) = torch.cuda.get_device_name(device), capability
        return f"{name} has compute capability {major}.{minor}, and the fused kernels need 8.0"
    return None


def judge(name: str, module: str, shapes: Shapes) -> str | None:
    """Why the fused operation does not take the shapes or fails its test in this process, or None."""
    from gato_trainer.kernels.self_test import self_test

    try:
        loaded = importlib.import_module(f"{__name__}.{module}")
    except (ImportError, AttributeError) as error:  # a Triton whose interface has changed
        return f"{module} cannot be imported ({error})"
    reason: str | None = loaded.why_not(shapes)
    if reason is None and hasattr(loaded, "tune"):
        loaded.tune(shapes)
    return reason or self_test(name, getattr(loaded, name), getattr(REFERENCE, name), shapes)


def _loaded(name: str, module: str) -> Callable[..., Any]:
    """A fused operation that the first process found good.

    Raises:
        TrainError: it cannot be imported in this one.
    """
    try:
        loaded: Callable[..., Any] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    except (ImportError, AttributeError) as error:
        raise TrainError(
            f"the first process runs the fused {name}, this one cannot import it ({error}): "
            f"install the same torch and Triton everywhere, or use --kernels reference"
        ) from error
    return loaded
