"""How a run ends early: a signal, a loss that is not finite, memory that runs out."""

import dataclasses
import json
import signal
from pathlib import Path
from types import FrameType, TracebackType

import numpy as np
import torch

from gato_data.errors import TrainError
from gato_trainer.checkpoints.saving import Checkpoints
from gato_trainer.config import TrainSettings
from gato_trainer.data.batches import BatchSource, window_pieces
from gato_trainer.world import World

STOPPING = ("SIGTERM", "SIGINT")
"""Signals that end a run after its step."""


class StopSignal:
    """Notes SIGTERM and SIGINT, so that the run can finish its step and save; a second SIGINT interrupts at once.

    A second SIGTERM changes nothing: torchrun hands on to its processes what they may have got already.

    Attributes:
        received: the first one's name.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopSignal":
        for name in STOPPING:
            number = signal.Signals[name]
            try:
                self._before[number] = signal.signal(number, self._note)
            except ValueError:
                break  # not in the main thread: the caller keeps its own handlers
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received is not None:
            raise KeyboardInterrupt
        self.received = self.received or signal.Signals(number).name


def out_of_memory(error: RuntimeError | MemoryError, settings: TrainSettings, processes: int) -> TrainError | None:
    """A sentence that says what to lower, if the error means that memory ran out."""
    ran_out = isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
    if not ran_out:
        return None
    share = -(-settings.batch_size // processes)
    micro = min(settings.micro_batch_size or share, share)
    lower = f"--micro-batch-size (now {micro}; the batch and its result stay the same) or --context-length"
    if micro == 1:
        lower = "--context-length, or take a smaller --model or, with --shard full, more processes"
    if settings.activation_checkpointing != "on":
        lower += ", or add --activation-checkpointing on"
    return TrainError(
        f"out of memory with {micro} window{'s' if micro > 1 else ''} of {settings.context_length} tokens at once: "
        f"lower {lower}; --dry-run shows what needs memory"
    )


class FiniteWatch:
    """The first step whose loss or gradient was not finite, noted on the device without waiting for it."""

    _KINDS = ("the loss of", "the gradient of")
    _NONE = 2**62

    def __init__(self, world: World) -> None:
        self._world = world
        self._first = torch.full((), self._NONE, dtype=torch.int64, device=world.device)

    def loss(self, step: int, value: torch.Tensor) -> None:
        """Note a loss () of this process in a step, from 0."""
        self._note(2 * step, value)

    def gradient(self, step: int, norm: torch.Tensor) -> None:
        """Note the norm () of a step's gradient."""
        self._note(2 * step + 1, norm)

    def _note(self, code: int, value: torch.Tensor) -> None:
        bad = torch.where(torch.isfinite(value.detach()), self._NONE, code)
        self._first = torch.minimum(self._first, bad)

    def first(self) -> tuple[int, str] | None:
        """The first such step in any process and what was not finite in it; waits for the device."""
        code = int(self._first)
        code = self._world.first(-1 if code == self._NONE else code)
        return None if code < 0 else (code // 2, self._KINDS[code % 2])


def not_finite(
    bad: int, what: str, settings: TrainSettings, source: BatchSource, checkpoints: Checkpoints
) -> TrainError:
    """Why a run ends: what came out of the step that is number `bad`, from 0; people count from 1.

    Returns:
        An error that says where the batch was written, which checkpoint is good and how to go on.
    """
    dumped = "the other process's message"
    if checkpoints.world.is_first:
        size = settings.batch_size
        samples = range(bad * size, (bad + 1) * size)
        dumped = str(dump_batch(settings.out, bad + 1, source, samples))
    checkpoints.wait()
    newest = checkpoints.newest()
    good = f"the last good checkpoint is {newest[1]}" if newest else "there is no checkpoint before it"
    return TrainError(
        f"{what} step {bad + 1} is not finite; its windows are described in {dumped} and {good}; go on without these "
        f"windows with --resume --skip-steps {bad + 1}, or try a lower --learning-rate or --clip 1"
    )


def dump_batch(out: Path, step: int, source: BatchSource, samples: range) -> Path:
    """Write the arrays of a step's windows, and the episodes that they are made of.

    Returns:
        The JSON file; the arrays are beside it as .npz.
    """
    batch = source.batch(samples)
    path = out / f"nonfinite-step-{step:08d}.json"
    np.savez_compressed(
        path.with_suffix(".npz"),
        **{field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)},
    )
    windows = [
        {
            "sample": int(sample),
            "dataset": source.dataset_names[int(dataset)],
            "length": int(length),
            "pieces": pieces,
        }
        for sample, dataset, length, pieces in zip(
            batch.sample, batch.dataset, batch.length, window_pieces(source, samples), strict=True
        )
    ]
    path.write_text(json.dumps({"step": step, "windows": windows}, indent=1) + "\n")
    return path
