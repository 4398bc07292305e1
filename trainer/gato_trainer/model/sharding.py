"""A model sharded over the processes of a run (FSDP2), as a whole or in several copies."""

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from gato_data.errors import TrainError
from gato_trainer.config import TrainSettings
from gato_trainer.model.transformer import Gato
from gato_trainer.world import World


def shards(processes: int, replicas: int) -> int:
    """In how many parts the model and its optimizer state are held.

    Raises:
        TrainError: the processes do not divide into so many copies.
    """
    if processes % replicas:
        possible = ", ".join(str(count) for count in range(1, processes + 1) if processes % count == 0)
        several = f"{processes} processes: give one of" if processes > 1 else "1 process: give"
        raise TrainError(f"--replicas {replicas} does not divide {several} {possible}")
    return processes // replicas


def check_processes(settings: TrainSettings, processes: int) -> None:
    """Check that so many processes can share a run.

    Raises:
        TrainError: they cannot.
    """
    shards(processes, settings.replicas)
    if settings.batch_size < processes:
        raise TrainError(f"{processes} processes need a batch of as many windows; got {settings.batch_size}")
    if settings.sharding == "none" and processes > 1:
        raise TrainError(f"--shard none is for one process, {processes} are running; use zero2 or full")
    if settings.cuda_graph and processes > 1:
        raise TrainError(f"--cuda-graph is for one process, {processes} are running: leave it out")


def shard(model: Gato, world: World, settings: TrainSettings) -> None:
    """Shard a model's parameters, gradients and optimizer state over the processes (FSDP2), in place.

    Every block is a group; the root group holds table, patch block and last norm together, because
    the table is used at both ends of the model and a parameter cannot live in two groups.

    Raises:
        TrainError: not a whole number of processes for each copy.
    """
    parts = shards(world.size, settings.replicas)
    if world.size == 1:
        return
    mesh = _mesh(world, parts)
    policy = MixedPrecisionPolicy(param_dtype=model.dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
    again = settings.sharding == "full"
    for block in model.blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy, reshard_after_forward=again)
    fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=again)


def _mesh(world: World, parts: int) -> DeviceMesh:
    """All processes in a row; with several copies, a row for each, and columns whose gradients are summed."""
    ranks = torch.arange(world.size).view(-1, parts)
    if len(ranks) == 1:
        return init_device_mesh(world.device.type, (world.size,))
    groups = [world.own_group(columns) for columns in (ranks.T.tolist(), ranks.tolist())]
    return DeviceMesh.from_group(groups, world.device.type, ranks, mesh_dim_names=("replica", "shard"))


def release_gathered(model: nn.Module) -> None:
    """Free parameters gathered by a forward without a backward: they would be taken for current later."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def synchronize_gradients(model: nn.Module, last: bool) -> None:
    """Reduce gradients over processes in the coming backward only if it is the step's last."""
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(last)
