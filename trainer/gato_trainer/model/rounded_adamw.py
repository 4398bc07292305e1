"""AdamW whose moments take half the memory: kept in bfloat16, rounded up or down at random.

Rounding to the nearest would lose every change below half of the last bit, for ever. Rounding up
with a chance that is the part of the last bit that is lost is right on average. The chance of an
element is drawn by seed, step, parameter and its place, so a run that goes on, or that runs on
other processes, draws the same.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from gato_trainer.data.randomness import element_bits, mix32, name_seed
from gato_trainer.model.averaging import local

_MASK32 = 0xFFFFFFFF
_ELEMENTS = 2**23
"""Of a parameter at one time: what is computed beside them takes memory."""


def rounded(x: Tensor, chance: Tensor) -> Tensor:
    """float32 `x` in bfloat16, rounded away from zero with the chance that is the part of the last bit that is lost.

    Args:
        x: any shape; what is not finite stays so.
        chance: int64 like x, uniform in [0, 2**16).
    """
    bits = (x.view(torch.int32) + chance.to(torch.int32)) & -0x10000
    return torch.where(x.isfinite(), bits.view(torch.float32), x).to(torch.bfloat16)


class RoundedAdamW(torch.optim.Optimizer):
    """AdamW with both moments in bfloat16; the step itself is computed in float32.

    Args:
        groups: of parameters with their names, each with `weight_decay`.
        seed: of the rounding.
        lr, betas, eps: of AdamW.
    """

    def __init__(
        self, groups: list[dict[str, Any]], *, seed: int, lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps})
        self._keys = {
            parameter: name_seed(seed, f"moments of {name}") & _MASK32
            for group in self.param_groups
            for name, parameter in zip(group["param_names"], group["params"], strict=True)
        }

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, parameter.grad, group)

    def _step(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        state["step"] += 1
        key = mix32((state["step"].to(torch.int64) * 0x85EBCA6B + self._keys[parameter]) & _MASK32)
        tensors = [local(x) for x in (parameter, gradient, state["exp_avg"], state["exp_avg_sq"])]
        if not tensors[0].numel():
            return
        row = tensors[0][0].numel()
        first = _first_row(parameter) * row
        pieces = (torch.split(x, max(1, _ELEMENTS // row)) for x in tensors)
        for part, gradient_part, mean, square in zip(*pieces, strict=True):
            bits = element_bits(key, first, part.shape)
            _move(part, gradient_part, mean, square, state["step"], bits, group)
            first += part.numel()


def _move(p: Tensor, gradient: Tensor, first: Tensor, second: Tensor, step: Tensor, bits: Tensor, group: Any) -> None:
    """AdamW of a part of a parameter, in place; both moments are rounded by one number an element."""
    (beta1, beta2), rate = group["betas"], group["lr"]
    mean = first.float().lerp_(gradient, 1 - beta1)
    square = second.float().lerp_(gradient * gradient, 1 - beta2)
    first.copy_(rounded(mean, bits & 0xFFFF))
    second.copy_(rounded(square, bits >> 16))
    mean /= 1 - beta1**step
    square /= 1 - beta2**step
    p.mul_(1 - rate * group["weight_decay"]).sub_(mean / square.sqrt_().add_(group["eps"]) * rate)


def _first_row(parameter: Tensor) -> int:
    """The number of this process's first row of a parameter."""
    if not isinstance(parameter, DTensor):
        return 0
    return int(parameter.__create_chunk_list__()[0].offsets[0])  # type: ignore[no-untyped-call]
