"""The matrices of blocks in the dtype that is computed in, cast once a step instead of at each use."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule


class _Cast(torch.autograd.Function):
    """A parameter's value in another dtype that is there already; its gradient is cast as that of `Tensor.to`."""

    @staticmethod
    def forward(ctx: Any, parameter: Tensor, value: Tensor) -> Tensor:
        ctx.dtype = parameter.dtype
        return value

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None]:
        return gradient[0].to(ctx.dtype), None


class CastWeights:
    """The cast matrices of the blocks of a model.

    Vectors stay as they are: normalisations and biases may be computed in float32. So do the matrices of a sharded
    model, which FSDP casts as it gathers them, and those that are computed of others.

    Args:
        blocks: whose parameters are on their device.
        dtype: that is computed in.
    """

    def __init__(self, blocks: nn.ModuleList, dtype: torch.dtype) -> None:
        self._names = [[] if isinstance(block, FSDPModule) else _matrices(block, dtype) for block in blocks]
        self._blocks = blocks
        self._parameters: list[Tensor] = [
            block.get_parameter(name) for block, names in zip(blocks, self._names, strict=True) for name in names
        ]
        self._values = [torch.empty_like(parameter, dtype=dtype).detach() for parameter in self._parameters]

    @torch.no_grad()
    def refresh(self) -> None:
        """Cast them as they are now."""
        if self._values:
            torch._foreach_copy_(self._values, self._parameters)

    def of_blocks(self) -> list[dict[str, Tensor]]:
        """For each block the cast matrices by their names, as parts of the graph of gradients."""
        pairs = zip(self._parameters, self._values, strict=True)
        cast = iter([_Cast.apply(*pair) for pair in pairs])  # type: ignore[no-untyped-call]
        return [{name: next(cast) for name in names} for names in self._names]


def _matrices(block: nn.Module, dtype: torch.dtype) -> list[str]:
    return [
        name
        for name, parameter in block.named_parameters()
        if parameter.dim() == 2 and not name.endswith("bias") and parameter.dtype != dtype and "parametriz" not in name
    ]
