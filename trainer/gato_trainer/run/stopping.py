"""How a run ends early: a signal, a loss that is not finite, memory that runs out."""

import dataclasses
import json
import signal
from pathlib import Path
from types import FrameType, TracebackType

import numpy as np
import torch

from gato_data.errors import TrainError
from gato_trainer.config import TrainSettings
from gato_trainer.data.batches import BatchSource, window_pieces


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
