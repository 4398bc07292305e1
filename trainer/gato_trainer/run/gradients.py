"""The norm of the whole gradient: measured in every step, and held to `--clip`."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm


class GradientNorms:
    """Norms over all parameters and processes since the last log line, before clipping; on the device.

    Measuring reads every gradient once, and sums one number over the processes.
    """

    def __init__(self, device: torch.device) -> None:
        self._sum = torch.zeros((), device=device)
        self._largest = torch.zeros((), device=device)
        self._steps = 0

    def clip(self, parameters: Iterable[nn.Parameter], most: float) -> Tensor:
        """Scale the gradient down to a norm of `most`, or not at all for 0; the norm that it had, float32 ()."""
        trained = [parameter for parameter in parameters if parameter.grad is not None]
        norm = get_total_norm([parameter.grad for parameter in trained if parameter.grad is not None])
        if most:
            clip_grads_with_norm_(trained, most, norm)
        whole: Tensor = norm.full_tensor() if isinstance(norm, DTensor) else norm
        self._sum = self._sum + whole
        self._largest = torch.maximum(self._largest, whole)
        self._steps += 1
        return whole

    def report(self) -> dict[str, Any]:
        """Mean and largest one, as keys of the log line; None without a step. Waits for the device."""
        if not self._steps:
            return {"gradient_norm": None, "largest_gradient_norm": None}
        return {"gradient_norm": float(self._sum) / self._steps, "largest_gradient_norm": float(self._largest)}
