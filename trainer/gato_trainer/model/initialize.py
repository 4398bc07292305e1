"""Initial parameters: each a function of (seed, name), whatever the order or the number of processes."""

import math

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from gato_trainer.config import ModelConfig
from gato_trainer.data.randomness import name_seed
from gato_trainer.model.lora import named_parameters
from gato_trainer.model.transformer import Gato

STANDARD_DEVIATION = 0.02
"""Of tables, and of matrices as in GPT-2; the paper is silent."""

_ZERO = ("bias", "up_bias", "content_bias", "distance_bias", "lora_up")
_RESIDUAL = ("attention.output", "feed_forward.down")


def materialize(model: Gato, device: torch.device, seed: int) -> None:
    """Give a model from the meta device, sharded or not, memory and initial parameters."""
    model.to_empty(device=device)
    initialize(model, seed)


@torch.no_grad()
def initialize(model: Gato, seed: int) -> None:
    """Write its initial value into every parameter, sharded or not."""
    for name, parameter in named_parameters(model):
        value = _initial_value(name, parameter.shape, seed, model.config)
        if isinstance(parameter, DTensor):
            local = distribute_tensor(
                value.to(parameter.device), parameter.device_mesh, parameter.placements, src_data_rank=None
            )
            parameter.copy_(local)
        else:
            parameter.copy_(value)


def _initial_value(name: str, shape: torch.Size, seed: int, config: ModelConfig) -> Tensor:
    leaf = name.rsplit(".", 1)[-1]
    if leaf in _ZERO:
        return torch.zeros(shape)
    if leaf == "gain" or ".norm" in name:
        return torch.ones(shape)
    generator = torch.Generator().manual_seed(name_seed(seed, name))
    deviation = STANDARD_DEVIATION
    if config.initialization == "fan-in" and len(shape) == 2 and not leaf.endswith("table"):
        deviation = 1.0 / math.sqrt(shape[1])
    if name.endswith(_RESIDUAL):
        deviation /= math.sqrt(2 * config.blocks)
    if leaf == "lora_down":
        deviation = 1.0 / math.sqrt(shape[1])
    if len(shape) == 4:
        deviation = math.sqrt(2.0 / (shape[1] * shape[2] * shape[3]))
    value = torch.empty(shape)
    nn.init.normal_(value, std=deviation, generator=generator)
    return value
