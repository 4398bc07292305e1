"""What a run computes on: this machine's devices, or GPUs that a plan is made for."""

from dataclasses import dataclass

import torch

from gato_trainer.cards import PlannedMachine
from gato_trainer.kernels import CAPABILITY
from gato_trainer.world import World

RESERVE = 3 * 2**29
"""Bytes of a GPU that are left to its driver, libraries and the processes' exchange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The devices of a run, one for each process, all of a kind.

    Attributes:
        device: of this process. name: of the card, or "cpu".
        processes: how many.
        memory: bytes that a run may take of each GPU; None on a CPU, whose memory others share.
        has_bf16: whether it computes in bf16 at the speed that it is there for.
    """

    device: torch.device
    name: str
    processes: int
    memory: int | None
    has_bf16: bool

    @property
    def words(self) -> str:
        """The machine for a person."""
        many = f"{self.processes} x " if self.processes > 1 else ""
        return f"{many}{self.name}"


def machine_here(world: World) -> Machine:
    """This machine, as all processes see it: the least memory of all, and what the first one's card can do.

    What is free varies a little from run to run and what a card has does not, so as long as nobody
    else is on the cards, the same ones give the same number.
    """
    if world.device.type != "cuda":
        return Machine(device=world.device, name=world.device.type, processes=world.size, memory=None, has_bf16=False)
    free, total = torch.cuda.mem_get_info(world.device)
    name = torch.cuda.get_device_name(world.device)
    has_bf16 = torch.cuda.get_device_capability(world.device) >= CAPABILITY
    return Machine(
        device=world.device,
        name=world.decided(lambda: name),
        processes=world.size,
        memory=world.least(min(free, total - RESERVE)),
        has_bf16=bool(world.least(int(has_bf16))),
    )


def machine_planned(planned: PlannedMachine) -> Machine:
    """GPUs that need not be here."""
    return Machine(
        device=torch.device("cuda"),
        name=planned.name,
        processes=planned.gpus or 1,
        memory=int(planned.memory_gib * 2**30) - RESERVE,
        has_bf16=True,
    )
