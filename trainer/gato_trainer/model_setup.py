"""Building the model of a run: on the meta device, compiled and sharded, then filled."""

import dataclasses
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.distributed.tensor import DTensor, distribute_tensor

from gato_data.errors import TrainError
from gato_trainer.checkpoint import committed, load, read_header
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.distributed import World, shard
from gato_trainer.initialize import materialize
from gato_trainer.kernels import Shapes, operations
from gato_trainer.run_folder import newest_checkpoint
from gato_trainer.transformer import Gato, count_parameters

_FREE = ("dropout", "stochastic_depth")


def with_precision(settings: TrainSettings, device: torch.device) -> TrainSettings:
    """The settings with a definite precision for the device."""
    if settings.precision is not None:
        return settings
    return dataclasses.replace(settings, precision="bf16" if device.type == "cuda" else "fp32")


def build_model(settings: TrainSettings, config: ModelConfig, world: World) -> tuple[Gato, int]:
    """The model with its first values, or those of `init_from`, on the device; and its parameter count.

    Raises:
        TrainError: `init_from` holds another model, or `--kernels fused` is not available.
    """
    dtype = _dtype(settings)
    chosen = operations(settings.kernels, _shapes(settings, config, world))
    with torch.device("meta"):
        model = Gato(config, chosen, dtype)
    parameters = count_parameters(model)
    compiled = world.device.type == "cuda" if settings.compile is None else settings.compile
    if compiled:
        # The last block sees a varying number of supervised rows; compiling it would recompile often.
        for block in model.blocks[:-1]:
            block.compile(dynamic=False)
    shard(model, world, settings.sharding)
    materialize(model, world.device, settings.seed)
    continued = settings.resume and committed(settings.out / "checkpoints")
    if settings.init_from is not None and not continued:
        _load_parameters(model, settings.init_from, world)
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


def _load_parameters(model: Gato, path: Path, world: World) -> None:
    if path.is_dir():
        checkpoint = newest_checkpoint(path)
        shape = read_header(checkpoint)["settings"]["model"]
        wanted = dataclasses.asdict(model.config)
        different = [
            f"{name} is {shape.get(name)} there, {value} here"
            for name, value in wanted.items()
            if name not in _FREE and shape.get(name) != value
        ]
        if different:
            raise TrainError(f"{path} holds another model: {'; '.join(different)}")
        load(checkpoint, {f"model.{name}": p.detach() for name, p in model.named_parameters()}, world)
        return
    try:
        values = load_file(path)
    except (OSError, SafetensorError) as error:
        raise TrainError(f"cannot read {path}: {error}") from error
    for name, parameter in model.named_parameters():
        value = values.get(name)
        if value is None or value.shape != parameter.shape:
            found = "nothing" if value is None else f"shape {tuple(value.shape)}"
            raise TrainError(f"{path} holds another model: {name} should be {tuple(parameter.shape)}, found {found}")
        copy_full(parameter.detach(), value)


def copy_full(target: torch.Tensor, value: torch.Tensor) -> None:
    """Copy a whole value into a parameter, sharded or not."""
    if isinstance(target, DTensor):
        value = distribute_tensor(value.to(target.device), target.device_mesh, target.placements, src_data_rank=None)
    target.copy_(value)
