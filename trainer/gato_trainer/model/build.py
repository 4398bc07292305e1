"""Building the model of a run: on the meta device, compiled and sharded, then filled."""

import dataclasses

import torch

from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.kernels import Shapes, operations
from gato_trainer.model.initialize import materialize
from gato_trainer.model.sharding import shard
from gato_trainer.model.transformer import Gato, count_parameters
from gato_trainer.world import World


def with_precision(settings: TrainSettings, device: torch.device) -> TrainSettings:
    """The settings with a definite precision for the device."""
    if settings.precision is not None:
        return settings
    return dataclasses.replace(settings, precision="bf16" if device.type == "cuda" else "fp32")


def build_model(settings: TrainSettings, config: ModelConfig, world: World) -> tuple[Gato, int]:
    """The model with its first values on the device, and its parameter count.

    Raises:
        TrainError: `--kernels fused` is not available.
    """
    dtype = _dtype(settings)
    chosen = operations(settings.kernels, _shapes(settings, config, world))
    with torch.device("meta"):
        model = Gato(config, chosen, dtype)
    parameters = count_parameters(model)
    if settings.compiled_on(world.device.type):
        # The last block, which sees supervised rows alone, would take graphs of its own for each of their numbers.
        for block in model.blocks[:-1]:
            block.compile(dynamic=False)
    shard(model, world, settings.sharding)
    materialize(model, world.device, settings.seed)
    return model, parameters


def _dtype(settings: TrainSettings) -> torch.dtype:
    return torch.bfloat16 if settings.precision == "bf16" else torch.float32


def _shapes(settings: TrainSettings, config: ModelConfig, world: World) -> Shapes:
    """What a micro-batch of one process asks of the operations."""
    share = -(-settings.batch_size // world.size)
    return Shapes(
        model=config,
        windows=min(settings.micro_batch_size or share, share),
        length=settings.context_length,
        dtype=_dtype(settings),
        device=world.device,
    )
