"""The processes of a run: one, or those that torchrun started; their devices, and sums over all of them."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from gato_data.errors import GatoError, TrainError
from gato_trainer.meeting import meet

_Answer = TypeVar("_Answer")
_UNANSWERED = ("timed out", "wait timeout", "connection closed by peer", "connection reset by peer")
"""What gloo and the store say, in lower case, when another process is gone or too late."""


@dataclass(frozen=True, slots=True)
class World:
    """This process among `size` processes, and its device.

    Attributes:
        timeout: how long it waits for the others; None is torch's default.
    """

    rank: int
    size: int
    device: torch.device
    timeout: timedelta | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files that exist once."""
        return self.rank == 0

    def sum(self, values: list[int]) -> list[int]:
        """Sum small whole numbers over all processes, on the host, without waiting for a device."""
        if self.size == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.int64)
        dist.all_reduce(tensor)
        return [int(value) for value in tensor.tolist()]

    def sum_tensor(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over all processes; the result is on the CPU."""
        total = tensor.detach().to("cpu", copy=True)
        if self.size > 1:
            dist.all_reduce(total)
        return total

    def first(self, step: int) -> int:
        """The smallest step that is not -1 in any process, or -1."""
        none = 2**62
        found = self.least(none if step < 0 else step)
        return -1 if found == none else found

    def least(self, value: int) -> int:
        """The smallest of all processes' numbers."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.int64)
        dist.all_reduce(tensor, dist.ReduceOp.MIN)
        return int(tensor)

    def decided(self, ask: Callable[[], _Answer]) -> _Answer:
        """What the first process finds or does, told to all of them.

        Processes see a file system at different moments. What they do next together must follow
        from one answer: where each had its own, one would wait for the others for ever.

        Raises:
            GatoError, OSError: the first process's, in every process.
        """
        if self.size == 1:
            return ask()
        outcome: list[_Answer | GatoError | OSError | None] = [None]
        if self.is_first:
            try:
                outcome = [ask()]
            except (GatoError, OSError) as error:
                outcome = [error]
        dist.broadcast_object_list(outcome, device=torch.device("cpu"))
        if isinstance(found := outcome[0], GatoError | OSError):
            raise found
        return found  # type: ignore[return-value]

    def share(self, samples: range) -> range:
        """This process's part [r G // W, (r + 1) G // W) of the G samples of a step."""
        count = len(samples)
        return samples[self.rank * count // self.size : (self.rank + 1) * count // self.size]

    def own_group(self, members: list[list[int]], backend: str | None = None) -> dist.ProcessGroup:
        """Groups of processes, made by all of them together; the one that this process is in."""
        groups = [dist.new_group(ranks, timeout=self.timeout, backend=backend) for ranks in members]
        mine: dist.ProcessGroup = next(made for made, ranks in zip(groups, members, strict=True) if self.rank in ranks)
        return mine

    def close(self) -> None:
        """Leave the process group."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """The device for `--device auto|cpu|cuda`.

    Raises:
        TrainError: "cuda" was asked for and torch sees no GPU.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainError(
            "--device cuda was asked for, but torch sees no GPU: check the driver and that torch was installed "
            "with CUDA, or use --device cpu"
        )
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def join_world(device: str, timeout: float | None = None) -> World:
    """Join the processes that torchrun started, or be the only one.

    Args:
        device: of `--device`.
        timeout: seconds to wait for other processes; None is torch's default.

    Raises:
        TrainError: see `choose_device`; it is not said where the others are; one of them did not come.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    chosen = choose_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    patience = None if timeout is None else timedelta(seconds=timeout)
    if size > 1 and not dist.is_initialized():
        if missing := [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in os.environ]:
            raise TrainError(
                f"WORLD_SIZE says that this is one of {size} processes, and {missing[0]} is not set: start them with "
                "torchrun, or take WORLD_SIZE away for a process alone"
            )
        backend = "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo"
        try:
            store = meet(rank, size, patience or dist.default_pg_timeout)
            dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=patience)
        except RuntimeError as error:
            raise unanswered(error) or error from error
    return World(rank, size, chosen, patience)


def unanswered(error: Exception) -> TrainError | None:
    """A sentence about another process, if the error means that one did not answer."""
    if not any(words in str(error).lower() for words in _UNANSWERED):
        return None
    first = str(error).strip().splitlines()[0]
    return TrainError(
        f"another process of the run ended or did not answer in time ({first}): see what it said; where it only "
        f"needs longer, raise --collective-timeout; continue with --resume"
    )
