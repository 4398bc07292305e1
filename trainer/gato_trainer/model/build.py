"""Building the model of a run: on the meta device, compiled and sharded, then filled."""

import dataclasses
from collections.abc import Iterable

import torch
from torch import nn

from gato_data.errors import TrainError
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.data.batches import BatchSource
from gato_trainer.data.rows import TableRows
from gato_trainer.kernels import Operations, Shapes, operations
from gato_trainer.model.freezing import choose_trained, count_frozen
from gato_trainer.model.initialize import materialize
from gato_trainer.model.sharding import shard
from gato_trainer.model.transformer import Gato, count_parameters
from gato_trainer.world import World

_TESTED_WINDOWS = 64
"""Windows that the kernels are tested with, whatever a run computes at once: one verdict holds for all batches."""


def model_config(settings: TrainSettings, source: BatchSource) -> ModelConfig:
    """The shape with the source's vocabulary and, if it tells, its longest observation.

    Raises:
        TrainError: the source makes windows of another length, or cannot tell which ids it uses.
    """
    if source.context_length != settings.context_length:
        raise TrainError(
            f"the reader makes windows of context length {source.context_length}, the run wants "
            f"{settings.context_length}"
        )
    longest = source.max_observation_tokens
    every = ((0, source.vocabulary_size),)
    ranges = every if settings.vocabulary == "all" else _used_ids(source)
    return dataclasses.replace(
        settings.model,
        vocabulary_size=TableRows(ranges).size,
        id_ranges=() if ranges == every else ranges,
        local_positions=settings.model.local_positions if longest is None else longest,
    )


def _used_ids(source: BatchSource) -> tuple[tuple[int, int], ...]:
    if source.vocabulary is None or not source.modalities:
        raise TrainError("the reader does not say which ids its datasets use: leave out --vocabulary used")
    return TableRows.used(source.vocabulary, source.modalities).ranges


def choose_operations(settings: TrainSettings, config: ModelConfig, world: World) -> Operations:
    """The operations for `--kernels`, the same in all processes.

    Raises:
        TrainError: `--kernels fused` is not available.
    """
    return operations(settings.kernels, shapes_of(settings, config, world.device), world.decided)


def build_model(settings: TrainSettings, config: ModelConfig, world: World, chosen: Operations) -> tuple[Gato, int]:
    """The model with its initial parameters on the device, and its parameter count; the settings are definite.

    Raises:
        TrainError: the processes cannot be shared out.
        SettingError: what is to be trained is not in the model.
    """
    with torch.device("meta"):
        model = Gato(config, chosen, _dtype(settings))
        choose_trained(model, settings)
    parameters = count_parameters(model)
    model.recompute = settings.activation_checkpointing == "on"
    if settings.compiled_on(world.device.type):
        # The last block, which sees supervised rows alone, would take graphs of its own for each of their numbers.
        blocks = model.blocks[:-1]
        _allow_graphs(blocks)
        for block in blocks:
            block.compile(dynamic=False)
    shard(model, world, settings)
    materialize(model, world.device, settings.seed)
    return model, parameters


def _allow_graphs(blocks: Iterable[nn.Module]) -> None:
    """Let torch make as many graphs as blocks differ in what of them is trained; beyond its limit it compiles no more.

    Each kind has one in training, one in evaluation and one to spare, and the first block behind
    what is frozen has one of its own.
    """
    kinds = {tuple(parameter.requires_grad for parameter in block.parameters()) for block in blocks}
    limit = torch._dynamo.config.recompile_limit
    torch._dynamo.config.recompile_limit = max(limit, 3 * len(kinds) + 1)


def parameters_of(settings: TrainSettings, config: ModelConfig) -> tuple[int, int]:
    """How many parameters the model has and how many of them are not trained, counted without making it.

    Raises:
        SettingError: what is to be trained is not in the model.
    """
    with torch.device("meta"):
        model = Gato(config)
        choose_trained(model, settings)
    return count_parameters(model), count_frozen(model)


def shapes_of(settings: TrainSettings, config: ModelConfig, device: torch.device) -> Shapes:
    """What a run asks of the operations."""
    return Shapes(
        model=config,
        windows=_TESTED_WINDOWS,
        length=settings.context_length,
        dtype=_dtype(settings),
        device=device,
    )


def _dtype(settings: TrainSettings) -> torch.dtype:
    return torch.bfloat16 if settings.precision == "bf16" else torch.float32
