"""How a run ends early: a signal, a loss that is not finite, memory that runs out."""

import dataclasses
import json
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType

import numpy as np
import torch

from gato_data.errors import TrainError
from gato_data.reading.batch import Batch
from gato_trainer.config import TrainSettings


class StopSignal:
    """Notes SIGTERM and SIGINT, so that the run can finish its step and save; a second SIGINT interrupts at once."""

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopSignal":
        for number in (signal.SIGTERM, signal.SIGINT):
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
        self.received = signal.Signals(number).name


def out_of_memory(error: RuntimeError, settings: TrainSettings) -> TrainError | None:
    """A sentence that says what to lower, if the error means that memory ran out."""
    text = str(error)
    if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in text:
        return None
    micro = settings.micro_batch_size or settings.batch_size
    return TrainError(
        f"out of memory with {micro} windows of {settings.context_length} tokens at once: lower "
        f"--micro-batch-size (now {micro}; the batch and its result stay the same) or --context-length"
    )


def dump_batch(
    out: Path, step: int, batch: Batch, datasets: tuple[str, ...], describe: Callable[[int], object] | None
) -> Path:
    """Write the arrays of a step's windows and a description of where they come from.

    Returns:
        The JSON file; the arrays are beside it as .npz.
    """
    path = out / f"nonfinite-step-{step:08d}.json"
    np.savez_compressed(
        path.with_suffix(".npz"),
        **{field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)},
    )
    windows = [
        {
            "sample": int(sample),
            "dataset": datasets[int(dataset)],
            "length": int(length),
            "episode": None if describe is None else describe(int(sample)),
        }
        for sample, dataset, length in zip(batch.sample, batch.dataset, batch.length, strict=True)
    ]
    path.write_text(json.dumps({"step": step, "windows": windows}, indent=1, default=str) + "\n")
    return path
