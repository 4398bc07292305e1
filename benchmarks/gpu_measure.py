"""How the GPU benchmark measures: time, failures, the state of the card, and the rows it reports."""

import gc
import importlib.metadata
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

FAILURES: tuple[type[BaseException], ...] = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NotImplementedError, OSError,
    RuntimeError, TypeError, ValueError, subprocess.SubprocessError,
)  # fmt: skip
"""What may go wrong on a card that nobody has tried yet, and must not stop the other measurements."""

MARK = "ROW "


def failures() -> tuple[type[BaseException], ...]:
    """`FAILURES`, with Triton's own if it is there."""
    try:
        from triton.errors import TritonError
    except ImportError:
        return FAILURES
    return (*FAILURES, TritonError)


def report(section: str, name: str, **values: Any) -> None:
    """Hand a row over to the parent process."""
    print(MARK + json.dumps({"section": section, "name": name, **values}), flush=True)


@dataclass(slots=True)
class Clock:
    """Until when a section may measure."""

    deadline: float

    def left(self) -> float:
        """Seconds that are left."""
        return self.deadline - time.monotonic()


def guarded(clock: Clock, section: str, name: str, measure: Callable[[], dict[str, Any]], needs: float = 4.0) -> None:
    """Report what `measure` finds, or why there is nothing: no time (`needs` seconds), no memory, or an error."""
    if clock.left() < needs:
        report(section, name, left_out=f"{max(clock.left(), 0):.0f} s were left, {needs:.0f} are needed")
        return
    begin = time.monotonic()
    try:
        values = measure()
    except failures() as error:
        lines = str(error).strip().splitlines() or [""]
        values = {"error": f"{type(error).__name__}: {lines[0][:200]}"}
    report(section, name, **values, took_s=round(time.monotonic() - begin, 1))
    release_memory()


def release_memory() -> None:
    """Free what was measured: compiled models are in cycles, and would take memory from the next measurement."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def seconds(run: Callable[[], object], device: torch.device, limit_s: float = 0.6, least: int = 3) -> float:
    """Median time of one call: two to warm up, then at least `least`, for `limit_s` seconds or 50 calls.

    On a CPU, where no time means anything, it is called once.
    """
    if device.type == "cpu":
        return once(run, device)
    for _ in range(2):
        run()
    times: list[float] = []
    synchronize(device)
    begin = time.monotonic()
    while len(times) < least or (time.monotonic() - begin < limit_s and len(times) < 50):
        times.append(once(run, device))
    return median(times)


def once(run: Callable[[], object], device: torch.device) -> float:
    """Time of one call, by the device's own clock where it has one."""
    if device.type != "cuda":
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def synchronize(device: torch.device) -> None:
    """Wait until the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def machine(device: torch.device) -> dict[str, Any]:
    """Names and versions."""
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }
    for package in ("triton", "liger-kernel"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "gpu": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "multiprocessors": properties.multi_processor_count,
            "cudnn": torch.backends.cudnn.version(),
        }
    else:
        found["gpu"] = f"none: {os.cpu_count()} CPU cores"
    return found


def clocks() -> str | None:
    """SM and memory clock, power, temperature and driver, as nvidia-smi says; None if it cannot be asked."""
    query = "clocks.sm,clocks.mem,power.draw,temperature.gpu,driver_version"
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else None
