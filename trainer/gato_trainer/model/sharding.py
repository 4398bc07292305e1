"""A model sharded over the processes of a run (FSDP2)."""

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from gato_data.errors import TrainError
from gato_trainer.model.transformer import Gato
from gato_trainer.world import World


def shard(model: Gato, world: World, sharding: str) -> None:
    """Shard a model's parameters, gradients and optimizer state over the processes (FSDP2), in place.

    Every block is a group; the root group holds table, patch block and last norm together, because
    the table is used at both ends of the model and a parameter cannot live in two groups.

    Raises:
        TrainError: several processes without sharding.
    """
    if world.size == 1:
        return
    if sharding == "none":
        raise TrainError(f"--shard none is for one process, {world.size} are running; use zero2 or full")
    mesh = init_device_mesh(world.device.type, (world.size,))
    policy = MixedPrecisionPolicy(param_dtype=model.dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
    again = sharding == "full"
    for block in model.blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy, reshard_after_forward=again)
    fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=again)


def release_gathered(model: nn.Module) -> None:
    """Free parameters gathered by a forward without a backward: they would be taken for current later."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def synchronize_gradients(model: nn.Module, last: bool) -> None:
    """Reduce gradients over processes in the coming backward only if it is the step's last."""
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(last)
