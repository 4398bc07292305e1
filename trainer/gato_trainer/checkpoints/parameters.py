"""A checkpoint's parameters for a model without changes of low rank: those of the run are merged in."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from gato_data.errors import TrainError
from gato_trainer.checkpoints.header import CheckpointHeader
from gato_trainer.checkpoints.storage import load, stored_shapes
from gato_trainer.model.averaging import local
from gato_trainer.model.lora import DOWN, UP, changed
from gato_trainer.world import World


@torch.no_grad()
def load_parameters(
    path: Path, header: CheckpointHeader, parameters: Mapping[str, Tensor], world: World, *, ema: bool = False
) -> None:
    """Fill parameters from a checkpoint.

    Args:
        path: the checkpoint. header: read from it.
        parameters: by name, sharded or not; all that the model has without changes.
        world: the processes.
        ema: take averages of those parameters that have one.

    Raises:
        TrainError: one is missing or of another shape.
    """
    stored = stored_shapes(path)
    wanted = {_stored_name(name, stored, ema=ema): tensor.detach() for name, tensor in parameters.items()}
    found = [name for name in parameters if f"model.{name}{UP}" in stored]
    changes: dict[str, tuple[Tensor, Tensor]] = {}
    for name in found:
        up, down = _stored_name(name + UP, stored, ema=ema), _stored_name(name + DOWN, stored, ema=ema)
        _check_change(path, name, parameters[name], stored[up], stored.get(down, ()))
        device = parameters[name].device
        changes[name] = torch.empty(stored[up], device=device), torch.empty(stored[down], device=device)
        wanted[up], wanted[down] = changes[name]
    load(path, wanted, world)
    for name, (up_value, down_value) in changes.items():
        _merge(parameters[name], up_value, down_value, _scale(path, header, len(down_value)))


def _stored_name(name: str, stored: Mapping[str, object], *, ema: bool) -> str:
    averaged = f"ema.{name}"
    return averaged if ema and averaged in stored else f"model.{name}"


def _check_change(path: Path, name: str, matrix: Tensor, up: tuple[int, ...], down: tuple[int, ...]) -> None:
    """What is no change of the matrix may be of any size, and is not read."""
    shape = tuple(matrix.shape)
    rank = up[-1] if up else 0
    if len(shape) != 2 or up != (shape[0], rank) or down != (rank, shape[1]) or not 0 < rank <= min(shape):
        raise TrainError(f"checkpoint {path} has a change of {name} {shape} in parts {up} and {down}: it is damaged")


def _scale(path: Path, header: CheckpointHeader, rank: int) -> float:
    alpha = header.settings.get("lora_alpha")
    if alpha is None:
        return 1.0
    if not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise TrainError(f"checkpoint {path} says lora_alpha {alpha!r}, which is no number: it is damaged")
    return alpha / rank


def _merge(matrix: Tensor, up: Tensor, down: Tensor, scale: float) -> None:
    """Change a matrix, sharded by rows or not, in place."""
    if isinstance(matrix, DTensor):
        up = local(distribute_tensor(up, matrix.device_mesh, matrix.placements, src_data_rank=None))
    own = local(matrix)
    own.copy_(changed(own, up, down, scale))
