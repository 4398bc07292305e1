"""How far a run is, its rates, and the JSON-lines log."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gato_data.printable import MAX_LINE, printable
from gato_trainer.run.curves import Curves
from gato_trainer.run.log import LOG_FILE, trim_log


@dataclass(slots=True)
class RunProgress:
    """What a run has done: steps in all, and log lines since it was started or continued."""

    step: int
    losses: list[tuple[int, float]] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] | None = None
    stopped_by: str | None = None


class Meter:
    """Rates since the last log line."""

    def __init__(self, peak: float | None) -> None:
        self._peak = peak
        self.reset(0.0)

    def reset(self, waited: float) -> None:
        """Begin the next interval; `waited` is the reader's total of seconds so far."""
        self._began = time.perf_counter()
        self._waited = waited
        self._tokens = self._flops = 0

    def leave_out(self, seconds: float) -> None:
        """Do not count time that was not spent on training."""
        self._began += seconds

    def add(self, tokens: int, flops: int) -> None:
        """Count a micro-batch of this process."""
        self._tokens += tokens
        self._flops += flops

    def rates(self, supervised: int, waited: float, world: int, device: torch.device) -> dict[str, Any]:
        """Tokens per second over all processes, supervised ones, MFU, share of time spent waiting, memory."""
        seconds = max(time.perf_counter() - self._began, 1e-9)
        return {
            "seconds": seconds,
            "tokens_per_second": self._tokens * world / seconds,
            "supervised_tokens_per_second": supervised / seconds,
            "mfu": None if self._peak is None else self._flops / seconds / self._peak,
            "data_wait": (waited - self._waited) / seconds,
            "memory_bytes": memory_in_use(device),
        }


def memory_in_use(device: torch.device) -> int:
    """Peak bytes: allocated on a GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Log:
    """`log.jsonl`, one object per line and flushed at once, and other places for curves beside it.

    Attributes:
        first: whether this process writes it.
    """

    def __init__(self, out: Path, *, curves: Sequence[Curves] = (), first: bool, quiet: bool) -> None:
        self._out = out
        self._stream = open(out / LOG_FILE, "a") if first else None  # noqa: SIM115 - closed in close()
        self._curves = curves
        self._quiet = quiet or not first
        self.first = first

    def trim(self, step: int) -> None:
        """Drop the lines after `step`, which a continued run writes again, and those that are damaged."""
        if self._stream is not None:
            self._stream.close()
            damaged = trim_log(self._out, step)
            if damaged:
                lines = "a line" if damaged == 1 else f"{damaged:,} lines"
                self.say(f"{self._out / LOG_FILE} was damaged: {lines} left out")
            self._stream = open(self._out / LOG_FILE, "a")  # noqa: SIM115

    def write(self, kind: str, record: dict[str, Any], line: str) -> None:
        """Append a record and show its line on stderr."""
        if self._stream is not None:
            self._stream.write(json.dumps({"kind": kind, **record}) + "\n")
            self._stream.flush()
        for curves in self._curves:
            for name, value in _flat(record):
                curves.add_scalar(f"{kind}/{name}", value, int(record["step"]))
        self.say(line)

    def say(self, line: str) -> None:
        """Show a line on stderr."""
        if not self._quiet:
            print(printable(line, MAX_LINE), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Close the files."""
        if self._stream is not None:
            self._stream.close()
        for curves in self._curves:
            curves.close()


def _flat(record: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from ((f"{name}/{inner}", number) for inner, number in _flat(value))
        elif isinstance(value, float):
            yield name, value
