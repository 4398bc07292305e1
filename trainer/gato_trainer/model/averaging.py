"""The exponential moving average of the parameters that are trained; the others are their own average."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


def local(tensor: Tensor) -> Tensor:
    """This process's part of a sharded tensor, sharing its memory; a plain tensor itself."""
    tensor = tensor.detach()
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _trained(model: nn.Module) -> list[Tensor]:
    return [local(parameter) for parameter in model.parameters() if parameter.requires_grad]


def start_average(model: nn.Module, decay: float) -> list[Tensor]:
    """A copy of every trained parameter, sharded alike; empty if `decay` is 0."""
    trained = (parameter for parameter in model.parameters() if parameter.requires_grad)
    return [parameter.detach().clone() for parameter in trained] if decay else []


@torch.no_grad()
def update_average(average: list[Tensor], model: nn.Module, decay: float) -> None:
    """average = decay * average + (1 - decay) * parameters."""
    if average:
        torch._foreach_lerp_([local(tensor) for tensor in average], _trained(model), 1.0 - decay)


@contextlib.contextmanager
def averaged(model: nn.Module, average: list[Tensor]) -> Iterator[None]:
    """The model with its averaged parameters, for evaluation; without an average, as it is."""
    if not average:
        yield
        return
    parameters = _trained(model)
    kept = [tensor.clone() for tensor in parameters]
    try:
        for parameter, tensor in zip(parameters, average, strict=True):
            parameter.copy_(local(tensor))
        yield
    finally:
        for parameter, tensor in zip(parameters, kept, strict=True):
            parameter.copy_(tensor)
