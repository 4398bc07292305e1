"""AdamW and the learning rate, as in the paper's appendix C and E."""

import math

import torch
from torch import nn

from gato_trainer.config import TrainSettings


def learning_rate(step: int, settings: TrainSettings) -> float:
    """The rate of optimizer step `step` (0 for the first).

    Linear from `warmup_from` to the peak over `warmup_steps`, then a cosine to a tenth of the peak
    at `steps` (the horizon includes the warm-up), or constant.
    """
    peak = settings.learning_rate
    if step < settings.warmup_steps:
        return settings.warmup_from + (peak - settings.warmup_from) * step / settings.warmup_steps
    if settings.schedule == "constant":
        return peak
    span = max(1, settings.steps - settings.warmup_steps)
    done = min(1.0, (step - settings.warmup_steps) / span)
    lowest = peak / 10
    return lowest + (peak - lowest) * 0.5 * (1.0 + math.cos(math.pi * done))


def make_optimizer(model: nn.Module, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW over all parameters; weight decay on matrices and tables only."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.dim() >= 2 and not name.endswith("bias")
        (decayed if is_matrix else plain).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, eps=settings.epsilon, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use `rate` from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def count_step(optimizer: torch.optim.Optimizer) -> None:
    """Count a step that changes nothing, so that the count is that of the run's steps."""
    for state in optimizer.state.values():
        state["step"] += 1
