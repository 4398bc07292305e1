"""The tensors of a checkpoint on disk: torch.distributed.checkpoint in safetensors files, digested as they are written.

SHA-256 takes about a second a gigabyte, in the thread that writes in the background; every process
has its own share.
"""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystem
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.state_dict_loader import load as load_distributed
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from gato_data.errors import TrainError
from gato_trainer.checkpoints.header import SavedFile
from gato_trainer.model.averaging import local
from gato_trainer.model.lora import named_parameters
from gato_trainer.model.rounded_adamw import RoundedAdamW
from gato_trainer.world import World

FAILURES = (CheckpointException, OSError, SafetensorError, RuntimeError, ValueError, KeyError)
"""What torch raises where tensors cannot be written or read."""


def state_tensors(model: nn.Module, optimizer: torch.optim.Optimizer, ema: list[Tensor]) -> dict[str, Tensor]:
    """Every tensor of a run by name: parameters; of those that are trained, AdamW's moments and an average if kept."""
    state: dict[str, Tensor] = {}
    averages = iter(ema)
    for name, parameter in named_parameters(model):
        state[f"model.{name}"] = parameter.detach()
        if not parameter.requires_grad:
            continue
        moments = optimizer.state[parameter]
        state[f"first_moment.{name}"] = moments["exp_avg"]
        state[f"second_moment.{name}"] = moments["exp_avg_sq"]
        if ema:
            state[f"ema.{name}"] = next(averages)
    return state


def all_finite(state: dict[str, Tensor]) -> bool:
    """Whether this process's part of every tensor is finite; waits for the device."""
    parts = [part for tensor in state.values() if (part := local(tensor)).numel()]
    return bool(torch.stack([part.isfinite().all() for part in parts]).all())


def prepare_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Give AdamW its moments (zero) and step count before its first step, so that they can be loaded into."""
    dtype = torch.bfloat16 if isinstance(optimizer, RoundedAdamW) else None
    for parameter in model.parameters():
        if parameter.requires_grad:
            optimizer.state[parameter] = {
                "step": torch.tensor(float(step), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, dtype=dtype),
                "exp_avg_sq": torch.zeros_like(parameter, dtype=dtype),
            }


class _DigestedFile(io.BufferedWriter):
    """A file that is digested while it is written, so that what the disk does to it shows."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "wb"))
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, data: Any) -> int:
        """Write and digest."""
        self.digest.update(data)
        self.size += len(data)
        return super().write(data)


class _DigestedFiles(FileSystem):
    """The local file system; remembers size and digest of each file written."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: dict[str, SavedFile] = {}

    @contextmanager
    def create_stream(self, path: str | PathLike[str], mode: str) -> Iterator[io.IOBase]:
        """Open a file, which is only ever written."""
        with _DigestedFile(Path(path)) as stream:
            yield stream
        self.saved[Path(path).name] = SavedFile(stream.size, stream.digest.hexdigest())


class DigestingWriter(HuggingFaceStorageWriter):
    """Writes this process's share of the tensors.

    Attributes:
        files: of all processes, by name; filled in the first one when all have written.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), save_distributed=True)
        self.fs = self._digested = _DigestedFiles()
        self.files: dict[str, SavedFile] = {}

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Write, and hand on what was written in place of where it lies, which safetensors say themselves."""
        results = super().write_data(plan, planner).wait()
        done: Future[list[WriteResult]] = Future()
        done.set_result([replace(result, storage_data=self._digested.saved) for result in results])
        return done

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Gather the files of all processes."""
        for result in results:
            for written in result[:1]:
                self.files.update(written.storage_data)


def load(path: Path, state: dict[str, Tensor], world: World) -> None:
    """Read a checkpoint into tensors in place, whatever the number of processes that wrote it.

    Raises:
        TrainError: a tensor is missing or of another shape.
    """
    try:
        load_distributed(state, storage_reader=HuggingFaceStorageReader(str(path)), no_dist=world.size == 1)
    except FAILURES as error:
        raise TrainError(f"checkpoint {path} cannot be loaded: {first_line(error)}") from error


def stored_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a checkpoint's tensors.

    Raises:
        TrainError: they cannot be read.
    """
    try:
        found = HuggingFaceStorageReader(str(path)).read_metadata().state_dict_metadata
    except FAILURES as error:
        raise TrainError(f"checkpoint {path} cannot be loaded: {first_line(error)}") from error
    return {name: tuple(tensor.size) for name, tensor in found.items() if isinstance(tensor, TensorStorageMetadata)}


def first_line(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, CheckpointException) and error.failures:
        error = next(iter(error.failures.values()))[0]
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
