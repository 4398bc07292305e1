"""`--memory-snapshot`: what took the memory of a GPU, for pytorch.org/memory_viz."""

import contextlib
from collections.abc import Iterator

import torch

from gato_data.errors import TrainError
from gato_trainer.config import TrainSettings
from gato_trainer.run.folder import RUN_FILE
from gato_trainer.world import World

_EVENTS = 1_000_000
"""Allocations and releases that are kept, the newest."""


@contextlib.contextmanager
def memory_snapshot(settings: TrainSettings, world: World) -> Iterator[None]:
    """Record this process's allocations into `memory/rank-N.pickle` of the run, at its end or when memory runs out.

    Raises:
        TrainError: the run is not on a GPU.
    """
    if not settings.memory_snapshot:
        yield
        return
    if world.device.type != "cuda":
        raise TrainError(
            f"--memory-snapshot records the memory of a GPU, and this run is on the {world.device.type}: leave it out"
        )
    torch.cuda.memory._record_memory_history(max_entries=_EVENTS)
    try:
        yield
    except torch.OutOfMemoryError:
        _dump(settings, world)
        raise
    else:
        _dump(settings, world)
    finally:
        torch.cuda.memory._record_memory_history(enabled=None)


def _dump(settings: TrainSettings, world: World) -> None:
    folder = settings.out / "memory"
    if (settings.out / RUN_FILE).is_file():  # memory may run out before the run has its folder
        folder.mkdir(exist_ok=True)
        torch.cuda.memory._dump_snapshot(str(folder / f"rank-{world.rank}.pickle"))  # type: ignore[no-untyped-call]
