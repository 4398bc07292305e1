"""Windows of a dataset for a torch DataLoader; the only module here that needs torch.

from torch.utils.data import DataLoader
from gato_data.torch import Windows

windows = Windows("mixture.json", context_length=1024, batch_size=32)
for batch in DataLoader(windows, batch_size=None, num_workers=2):
    batch["tokens"], batch["loss_mask"]
"""

import os
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, distributed
from torch.utils.data import IterableDataset, get_worker_info

from gato_data.errors import SettingError
from gato_data.library.batches import Batches
from gato_data.library.dataset import open as open_dataset
from gato_data.reading.batch import Batch

TensorBatch: TypeAlias = dict[str, Tensor]


class Windows(IterableDataset[TensorBatch]):
    """Batches of windows as dictionaries of tensors, with the names of `gato_data.Batch`.

    Give it to a `DataLoader` with `batch_size=None`: it batches itself. Workers take turns, so any
    number of them gives the same batches in the same order, and ranks share every step, so that any
    number of them reads one stream. In a `StatefulDataLoader` of torchdata it goes on where it was.

    Args:
        path: a dataset folder or a mixture file, or the address of one.
        split: "train" or "validation".
        context_length: input tokens of a window; a window holds one more.
        batch_size: windows of a step, over all ranks.
        seed: of the order.
        first: step to begin at.
        steps: how many there are, counted from step 0; None is one epoch.
        rank: which part of every step this process reads; by default that of `torch.distributed`
            where it runs, else that of torchrun's environment, else all of it.
        world_size: how many parts there are; given with `rank`, or not at all.
        settings: further fields of `gato_data.reading.settings.ReadSettings`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        split: str = "train",
        context_length: int = 1024,
        batch_size: int = 8,
        seed: int = 0,
        first: int = 0,
        steps: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        **settings: Any,
    ) -> None:
        if (rank is None) != (world_size is None):
            raise SettingError("rank and world_size belong together: give both, or neither")
        self.path, self.split, self.first = path, split, first
        self._cache = settings.get("cache")
        self._next = first
        self._loaded: dict[str, int] = {}
        self._rank, self._world_size = _place() if rank is None or world_size is None else (rank, world_size)
        self._options: dict[str, Any] = {
            "context_length": context_length,
            "batch_size": batch_size,
            "seed": seed,
            "steps": steps,
            **settings,
        }
        with open_dataset(path, split=split, cache=self._cache) as dataset:
            self._num_steps = len(self._batches(dataset, first))  # what is wrong is said here, not in a worker

    def __len__(self) -> int:
        """Steps of the run."""
        return self._num_steps

    def __iter__(self) -> Iterator[TensorBatch]:
        """The steps from `first` on, or once from where a loaded state was; workers take turns.

        Raises:
            SettingError: the state is of another number of workers.
        """
        worker = get_worker_info()
        number, workers = (0, 0) if worker is None else (worker.id, worker.num_workers)
        loaded, self._loaded = self._loaded, {}
        of = loaded.get("workers", 0)
        if of not in (0, workers):
            raise SettingError(
                f"the state is of a loader with {of} workers, this one has {workers}: take as many, or begin anew with "
                "first="
            )
        begin = loaded.get("step", self.first) + (0 if of else number)
        with open_dataset(self.path, split=self.split, cache=self._cache) as dataset:
            batches = self._batches(dataset, 0)
            for following, batch in batches.every(max(1, workers), begin):
                self._next = following
                yield _tensors(batch)

    def _batches(self, dataset: Any, first: int) -> Batches:
        found: Batches = dataset.batches(first=first, rank=self._rank, world_size=self._world_size, **self._options)
        return found

    def state_dict(self) -> dict[str, int]:
        """The step to go on with, of this worker where it is one of several."""
        worker = get_worker_info()
        return {"step": self._next, "workers": 0 if worker is None else worker.num_workers}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on with a step."""
        self._loaded = {name: int(state[name]) for name in ("step", "workers")}


def _place() -> tuple[int, int]:
    """Rank and number of ranks."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def _tensors(batch: Batch) -> TensorBatch:
    """The arrays as tensors, of the same memory; a number is a tensor of no dimension."""
    found = {entry.name: getattr(batch, entry.name) for entry in fields(batch)}
    return {name: torch.as_tensor(np.asarray(value)) for name, value in found.items() if value is not None}
