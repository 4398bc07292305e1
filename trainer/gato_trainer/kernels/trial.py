"""The self-test in a process of its own: a kernel that crashes or hangs there costs a fallback, not the run.

`python -m gato_trainer.kernels.trial TASK FILE` is that process. It writes a line for each operation
that it has tested, and ends behind the first that fails, since a GPU's context may be unusable then.
"""

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import torch

from gato_trainer.config import ModelConfig

if TYPE_CHECKING:
    from gato_trainer.kernels import Shapes

COMMAND = (sys.executable, "-m", "gato_trainer.kernels.trial")
LIMIT_S = 900.0
"""Seconds that a process may take; compiling all kernels and timing tiles for the first time takes a part of it."""


class _Task(msgspec.Struct, frozen=True):
    """Which operations to test, and `Shapes` in words."""

    names: tuple[str, ...]
    model: ModelConfig
    windows: int
    length: int
    dtype: str
    device: str


class _Line(msgspec.Struct, frozen=True):
    name: str
    reason: str | None


def tried(names: Sequence[str], shapes: "Shapes") -> dict[str, str | None]:
    """Why each operation cannot be used, or None if it passed its test in another process."""
    found: dict[str, str | None] = {}
    while left := [name for name in names if name not in found]:
        made, failure = _in_process(left, shapes)
        found |= made
        unfinished = next((name for name in left if name not in found), None)
        if failure is not None and unfinished is not None:
            found[unfinished] = failure
    return found


def _in_process(names: Sequence[str], shapes: "Shapes") -> tuple[dict[str, str | None], str | None]:
    """The verdicts that a process came to, and how it ended if not by itself or without any."""
    values = {field.name: getattr(shapes, field.name) for field in dataclasses.fields(shapes)}
    values |= {"dtype": str(shapes.dtype).removeprefix("torch."), "device": str(shapes.device)}
    task = msgspec.json.encode(_Task(names=tuple(names), **values)).decode()
    with tempfile.TemporaryDirectory(prefix="gato-kernels-") as folder:
        path, errors = Path(folder) / "verdicts", Path(folder) / "errors"
        path.touch()
        failure = _ending([*COMMAND, task, str(path)], errors)
        lines = [msgspec.json.decode(line, type=_Line) for line in path.read_bytes().split(b"\n")[:-1]]
    if failure is None and not lines:
        failure = "its test ended without a verdict on this machine"
    return {line.name: line.reason for line in lines}, failure


def _ending(command: list[str], errors: Path) -> str | None:
    """Run a command whose messages go to a file; how it failed, or None."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "CUDA_LAUNCH_BLOCKING": "1"}
    quiet = subprocess.DEVNULL
    with errors.open("wb") as file:
        process = subprocess.Popen(
            command, stdin=quiet, stdout=quiet, stderr=file, env=environment, start_new_session=True
        )
    try:
        code = process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"its test did not end within {LIMIT_S:g} s on this machine"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # with the compilers that it started
            process.wait()
    if code < 0:
        return f"its test was ended by {signal.Signals(-code).name} on this machine"
    if not code:
        return None
    last = errors.read_text(errors="replace").strip().splitlines()[-1:]
    return f"its test ended with code {code} on this machine" + "".join(f" ({line[:200]})" for line in last)


def main(text: str, path: Path) -> None:
    """In the other process: test one operation after the other."""
    from gato_trainer.kernels import FUSED, Shapes, judge

    task = msgspec.json.decode(text, type=_Task)
    shapes = Shapes(
        model=task.model,
        windows=task.windows,
        length=task.length,
        dtype=getattr(torch, task.dtype),
        device=torch.device(task.device),
    )
    with path.open("ab", buffering=0) as file:
        for name in task.names:
            reason = judge(name, FUSED[name], shapes)
            file.write(msgspec.json.encode(_Line(name, reason)) + b"\n")
            if reason is not None:
                return


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
