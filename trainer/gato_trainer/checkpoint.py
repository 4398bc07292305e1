"""Checkpoints: torch.distributed.checkpoint in safetensors files, written in the background, committed by a rename.

`checkpoints/step-00000050/` exists only when it is whole: files are written and synced under a hidden name,
`checkpoint.json` last, then the folder is renamed. Reading parses safetensors headers and JSON, never pickles.
"""

import json
import os
import re
import shutil
import warnings
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_loader import load as load_distributed
from torch.distributed.checkpoint.state_dict_saver import async_save

from gato_data.errors import TrainError
from gato_trainer.averaging import local
from gato_trainer.distributed import World

FORMAT = 1
# Said by the background thread of every run of one process, which is the common case.
warnings.filterwarnings("ignore", message="torch.distributed is disabled")
_NAME = re.compile(r"step-(\d{8})")
_FAILURES = (CheckpointException, OSError, SafetensorError, RuntimeError, ValueError, KeyError)


def state_tensors(model: nn.Module, optimizer: torch.optim.Optimizer, ema: list[Tensor]) -> dict[str, Tensor]:
    """Every tensor of a run by name: parameters, both moments of AdamW, and the average if one is kept."""
    state: dict[str, Tensor] = {}
    for index, (name, parameter) in enumerate(model.named_parameters()):
        state[f"model.{name}"] = parameter.detach()
        moments = optimizer.state[parameter]
        state[f"first_moment.{name}"] = moments["exp_avg"]
        state[f"second_moment.{name}"] = moments["exp_avg_sq"]
        if ema:
            state[f"ema.{name}"] = ema[index]
    return state


def all_finite(state: dict[str, Tensor]) -> bool:
    """Whether this process's part of every tensor is finite; waits for the device."""
    parts = [part for tensor in state.values() if (part := local(tensor)).numel()]
    return bool(torch.stack([part.isfinite().all() for part in parts]).all())


def prepare_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Give AdamW its moments (zero) and step count before its first step, so that they can be loaded into."""
    for parameter in model.parameters():
        optimizer.state[parameter] = {
            "step": torch.tensor(float(step), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }


def committed(folder: Path) -> list[tuple[int, Path]]:
    """The whole checkpoints in a folder as (step, path), the newest last."""
    found = []
    if folder.is_dir():
        for path in folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match and (path / "checkpoint.json").is_file():
                found.append((int(match.group(1)), path))
    return sorted(found)


def read_header(path: Path) -> dict[str, Any]:
    """The `checkpoint.json` of a checkpoint, whose files have been found to be there with the right sizes.

    Raises:
        TrainError: the checkpoint is damaged or of another format.
    """
    try:
        header: dict[str, Any] = json.loads((path / "checkpoint.json").read_text())
        version, files = header["format"], dict(header["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainError(f"checkpoint {path} cannot be read: {error}; delete it to use the one before") from error
    if version != FORMAT:
        raise TrainError(f"checkpoint {path} has format {version}, this version reads format {FORMAT}")
    for name, size in files.items():
        file = path / Path(name).name
        if not file.is_file() or file.stat().st_size != size:
            raise TrainError(
                f"checkpoint {path} is damaged: {name} should have {size} bytes; delete it to use the one before"
            )
    return header


def load(path: Path, state: dict[str, Tensor], world: World) -> None:
    """Read a checkpoint into tensors in place, whatever the number of processes that wrote it.

    Raises:
        TrainError: a tensor is missing, of another shape, or a file is damaged.
    """
    try:
        load_distributed(state, storage_reader=HuggingFaceStorageReader(str(path)), no_dist=world.size == 1)
    except _FAILURES as error:
        raise TrainError(
            f"checkpoint {path} cannot be loaded: {_first_line(error)}; delete it to use the one before"
        ) from error


@dataclass(slots=True)
class _Pending:
    step: int
    partial: Path
    header: dict[str, Any]
    written: Future[Any]


class Checkpoints:
    """Writes the checkpoints of a run, keeps the newest few, and never touches a whole one before the next is."""

    def __init__(self, folder: Path, world: World, keep: int) -> None:
        self.folder = folder
        self.world = world
        self.keep = keep
        self._pending: _Pending | None = None
        # A group of its own: the background thread must not share one with the training loop.
        self._group = dist.new_group(backend="gloo") if world.size > 1 else None
        if world.is_first:
            folder.mkdir(parents=True, exist_ok=True)
            for leftover in folder.glob(".step-*"):
                shutil.rmtree(leftover)
        world.barrier()

    def newest(self) -> tuple[int, Path] | None:
        """The newest whole checkpoint."""
        found = committed(self.folder)
        return found[-1] if found else None

    def save(self, step: int, state: dict[str, Tensor], header: dict[str, Any]) -> None:
        """Copy the state and write it in the background; waits for the checkpoint before, if it is still written.

        Raises:
            TrainError: the disk is full, or the checkpoint before failed.
        """
        self.wait()
        if (self.folder / f"step-{step:08d}").exists():
            return
        partial = self.folder / f".step-{step:08d}.partial"
        self._check_space(step, state)
        if self.world.is_first:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
        self.world.barrier()
        writer = HuggingFaceStorageWriter(str(partial), save_distributed=True)
        try:
            written = async_save(state, storage_writer=writer, process_group=self._group, no_dist=self.world.size == 1)
        except _FAILURES as error:
            raise self._failure(step, partial, error) from error
        assert isinstance(written, Future)
        self._pending = _Pending(step, partial, {**header, "format": FORMAT, "step": step}, written)

    def poll(self) -> None:
        """Commit the checkpoint being written if it is complete."""
        if self._pending is not None and self._pending.written.done():
            self.wait()

    def wait(self) -> None:
        """Wait for the checkpoint being written, commit it, and delete the oldest beyond `keep`.

        Raises:
            TrainError: it could not be written; the last good one is still there.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            return
        try:
            pending.written.result()
            if self.world.is_first:
                self._commit(pending)
        except _FAILURES as error:
            raise self._failure(pending.step, pending.partial, error) from error

    def _commit(self, pending: _Pending) -> None:
        files = {file.name: file.stat().st_size for file in sorted(pending.partial.iterdir())}
        with open(pending.partial / "checkpoint.json", "w") as stream:
            json.dump({**pending.header, "files": files}, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        _sync_folder(pending.partial)
        os.rename(pending.partial, self.folder / f"step-{pending.step:08d}")
        _sync_folder(self.folder)
        for _, path in committed(self.folder)[: -self.keep]:
            shutil.rmtree(path, ignore_errors=True)

    def _check_space(self, step: int, state: dict[str, Tensor]) -> None:
        need = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
        free = shutil.disk_usage(self.folder).free
        if free < need:
            raise TrainError(
                f"the checkpoint of step {step} needs {need / 1e6:,.1f} MB and {self.folder} has {free / 1e6:,.1f} MB "
                f"free; {self._last_good()}; free some space and continue with --resume"
            )

    def _failure(self, step: int, partial: Path, error: BaseException) -> TrainError:
        if self.world.is_first:
            shutil.rmtree(partial, ignore_errors=True)
        return TrainError(
            f"the checkpoint of step {step} could not be written: {_first_line(error)}; {self._last_good()}; "
            f"see to the disk and continue with --resume"
        )

    def _last_good(self) -> str:
        newest = self.newest()
        return f"the last good one is {newest[1]}" if newest else "there is no earlier one"


def _first_line(error: BaseException) -> str:
    if isinstance(error, CheckpointException) and error.failures:
        error = next(iter(error.failures.values()))[0]
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
