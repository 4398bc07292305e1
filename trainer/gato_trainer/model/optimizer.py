"""AdamW and the learning rate, as in the paper's appendix C and E."""

import math
from typing import Any

import torch
from torch import nn

from gato_trainer.config import TrainSettings
from gato_trainer.model.lora import named_parameters
from gato_trainer.model.rounded_adamw import RoundedAdamW


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


def make_optimizer(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """AdamW over all parameters that are trained; weight decay on matrices and tables only."""
    decayed: list[tuple[str, nn.Parameter]] = []
    plain: list[tuple[str, nn.Parameter]] = []
    for name, parameter in named_parameters(model):
        if parameter.requires_grad:
            is_matrix = parameter.dim() >= 2 and not name.endswith("bias")
            (decayed if is_matrix else plain).append((name, parameter))
    both = ((decayed, settings.weight_decay), (plain, 0.0))
    groups: list[dict[str, Any]] = [{"params": named, "weight_decay": decay} for named, decay in both if named]
    values: dict[str, Any] = {"lr": settings.learning_rate, "betas": settings.betas, "eps": settings.epsilon}
    if settings.optimizer_state == "bf16":
        return RoundedAdamW(groups, seed=settings.seed, **values)
    return torch.optim.AdamW(groups, fused=True, **values)


def state_bytes(parameters: int, frozen: int, settings: TrainSettings) -> int:
    """Bytes of parameters, and of gradient, moments and average of those that are trained, over all shards."""
    moment = 2 if settings.optimizer_state == "bf16" else 4
    return 4 * parameters + (4 + 2 * moment + (4 if settings.ema else 0)) * (parameters - frozen)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use `rate` from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def count_step(optimizer: torch.optim.Optimizer) -> None:
    """Count a step that changes nothing, so that the count is that of the run's steps."""
    for state in optimizer.state.values():
        state["step"] += 1
