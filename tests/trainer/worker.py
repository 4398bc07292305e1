"""A run in a process of its own: one of several, or one that is killed while it saves."""

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from synthetic import SyntheticSource

from gato_trainer.checkpoints import saving
from gato_trainer.config import ModelConfig
from gato_trainer.presets import train_settings
from gato_trainer.run.train import run


def kill(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(moment: str, step: int) -> None:
    """Die at a moment of saving the given step's checkpoint."""
    if moment == "data":
        sync = os.fsync

        def fsync(descriptor: int) -> None:
            name = os.readlink(f"/proc/self/fd/{descriptor}")
            if f"step-{step:08d}" in name and name.endswith(".safetensors"):
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
                kill()
            sync(descriptor)

        os.fsync = fsync
    else:
        rename = os.rename
        saving.os.rename = lambda old, new: kill() if f"{step:08d}" in str(new) else rename(old, new)


def main(task: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    if "kill" in task:
        kill_at(*task["kill"])
    options = task["settings"]
    settings = train_settings("tiny", Path(options.pop("out")), **options)
    settings = dataclasses.replace(settings, model=ModelConfig(**task["model"]))
    source = SyntheticSource(**task["source"])
    result = run(settings, source, source if task.get("validate") else None, quiet=True)
    if result.is_first:
        print(json.dumps({"losses": result.losses, "validation": result.validation}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
