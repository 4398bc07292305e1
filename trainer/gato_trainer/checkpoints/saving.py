"""Checkpoints: written in the background, committed by a rename, checked before they are read.

`checkpoints/step-00000050/` exists only when it is whole: files are written and synced under a
hidden name, `checkpoint.json` last, with the checksums of all of them, then the folder is renamed.
Reading parses safetensors headers and JSON, never pickles.
"""

import os
import re
import shutil
import warnings
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor
from torch.distributed.checkpoint.state_dict_saver import async_save

from gato_data.errors import TrainError
from gato_trainer.checkpoints.header import (
    HEADER,
    CheckpointHeader,
    DamagedCheckpointError,
    SavedFile,
    check_files,
    encode_header,
    read_header,
    seal,
)
from gato_trainer.checkpoints.storage import FAILURES, DigestingWriter, first_line
from gato_trainer.world import World

# Said by the background thread of every run of one process, which is the common case.
warnings.filterwarnings("ignore", message="torch.distributed is disabled")
_NAME = re.compile(r"step-(\d{8})")


def committed(folder: Path) -> list[tuple[int, Path]]:
    """The checkpoints in a folder as (step, path), the newest last; each was whole when it got its name."""
    found = []
    if folder.is_dir():
        for path in folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match and path.is_dir():
                found.append((int(match.group(1)), path))
    return sorted(found)


@dataclass(frozen=True, slots=True)
class Found:
    """A whole checkpoint, and what is wrong with each damaged one after it."""

    path: Path
    header: CheckpointHeader
    damaged: dict[Path, str]


@dataclass(slots=True)
class _Pending:
    step: int
    partial: Path
    header: CheckpointHeader
    writer: DigestingWriter
    written: Future[Any]


class Checkpoints:
    """Writes the checkpoints of a run, keeps the newest few, and never touches a whole one before the next is.

    Args:
        folder: of the checkpoints.
        world: the processes.
        keep: how many stay.
        beside: content of further files of every checkpoint, by name; of the first process.
    """

    def __init__(self, folder: Path, world: World, keep: int, beside: Mapping[str, bytes] | None = None) -> None:
        self.folder = folder
        self.world = world
        self.keep = keep
        self._beside = beside or {}
        self._pending: _Pending | None = None
        # A group of its own: the background thread must not share one with the training loop.
        self._group = world.own_group([[*range(world.size)]], "gloo") if world.size > 1 else None
        world.decided(self._open)

    def _open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob(".step-*"):
            shutil.rmtree(leftover)

    def newest(self) -> tuple[int, Path] | None:
        """The newest checkpoint."""
        found = committed(self.folder)
        return found[-1] if found else None

    def newest_whole(self) -> Found | None:
        """The newest checkpoint whose checksums fit; None if there is no checkpoint at all.

        Raises:
            TrainError: all are damaged, or one is of another format.
        """
        damaged: dict[Path, str] = {}
        for _, path in reversed(self.world.decided(lambda: committed(self.folder))):
            header = self._examine(path)
            if isinstance(header, CheckpointHeader):
                return Found(path, header, damaged)
            damaged[path] = header
        if damaged:
            raise TrainError(
                f"no checkpoint in {self.folder} is whole ({'; '.join(damaged.values())}): bring one back from a copy, "
                f"or start again with --overwrite; nothing was deleted"
            )
        return None

    def _examine(self, path: Path) -> CheckpointHeader | str:
        """The header of a whole checkpoint, or what is wrong with it: every process answers alike."""
        problem = ""
        try:
            header = self.world.decided(lambda: read_header(path))
        except DamagedCheckpointError as error:
            return str(error)
        try:
            check_files(path, header, self.world.rank, self.world.size)
        except DamagedCheckpointError as error:
            problem = str(error)
        if self.world.sum([bool(problem)])[0]:
            return problem or f"checkpoint {path} is damaged: see the message of another process"
        return header

    def set_aside(self, damaged: Iterable[Path]) -> None:
        """Rename damaged checkpoints, so that new ones can take their names."""

        def rename() -> None:
            for path in damaged:
                aside = path.with_name(f"damaged-{path.name}")
                shutil.rmtree(aside, ignore_errors=True)
                os.rename(path, aside)

        self.world.decided(rename)

    def save(self, state: dict[str, Tensor], header: CheckpointHeader) -> None:
        """Copy the state and write it in the background; waits for the checkpoint before, if it is still written.

        Raises:
            TrainError: the disk is full, or the checkpoint before failed.
        """
        self.wait()
        step = header.step
        partial = self.folder / f".step-{step:08d}.partial"
        if not self.world.decided(lambda: self._prepare(step, partial, state)):
            return
        writer = DigestingWriter(partial)
        try:
            written = async_save(state, storage_writer=writer, process_group=self._group, no_dist=self.world.size == 1)
        except FAILURES as error:
            raise self._failure(step, partial, error) from error
        assert isinstance(written, Future)
        self._pending = _Pending(step, partial, header, writer, written)

    def _prepare(self, step: int, partial: Path, state: dict[str, Tensor]) -> bool:
        """Make an empty folder to write into; whether there is anything to write."""
        if (self.folder / f"step-{step:08d}").exists():
            return False
        self._check_space(step, state)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        return True

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
        except FAILURES as error:
            raise self._failure(pending.step, pending.partial, error) from error

    def _commit(self, pending: _Pending) -> None:
        files = pending.writer.files | {name: SavedFile.of(content) for name, content in self._beside.items()}
        for name, content in self._beside.items():
            _write_synced(pending.partial / name, content)
        header = msgspec.structs.replace(pending.header, files=dict(sorted(files.items())))
        _write_synced(pending.partial / HEADER, seal(encode_header(header)))
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
            f"the checkpoint of step {step} could not be written: {first_line(error)}; {self._last_good()}; "
            f"see to the disk and continue with --resume"
        )

    def _last_good(self) -> str:
        newest = self.newest()
        return f"the last good one is {newest[1]}" if newest else "there is no earlier one"


def _write_synced(path: Path, content: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def whole_checkpoint(run: Path) -> tuple[Path, CheckpointHeader]:
    """The newest checkpoint of a run and its header, every file of it checked.

    Raises:
        TrainError: there is none, or it is damaged.
    """
    found = committed(run / "checkpoints")
    if not found:
        raise TrainError(f"{run} holds no checkpoint")
    path = found[-1][1]
    try:
        header = read_header(path)
        check_files(path, header)
    except DamagedCheckpointError as error:
        raise TrainError(f"{error}; move it away to use the one before") from error
    return path, header
