"""A run in a process of its own: one of several, or one that is killed while it saves."""

import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
from synthetic import SyntheticSource

from gato_trainer.checkpoints import saving
from gato_trainer.config import ModelConfig
from gato_trainer.presets import train_settings
from gato_trainer.run import spikes, training
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


def terminate_at(step: int) -> None:
    """SIGTERM in all processes but the first, which commits its checkpoints late."""
    commit, save = saving.Checkpoints._commit, saving.Checkpoints.save

    def late(self: saving.Checkpoints, pending: Any) -> None:
        time.sleep(1)
        commit(self, pending)

    def saved(self: saving.Checkpoints, state: Any, header: Any) -> None:
        save(self, state, header)
        if header.step == step and not self.world.is_first:
            os.kill(os.getpid(), signal.SIGTERM)

    saving.Checkpoints._commit, saving.Checkpoints.save = late, saved


def damage(checkpoint: Path) -> None:
    """Change a byte, once it is there."""
    while not checkpoint.exists():
        time.sleep(0.01)
    with open(min(checkpoint.glob("*.safetensors")), "r+b") as file:
        file.seek(-5, os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-5, os.SEEK_END)
        file.write(bytes([byte ^ 16]))


def kill_after(step: int) -> None:
    """In the second process: damage the checkpoint of the step before, and die."""
    after = training.Training._after_step

    def killed(self: training.Training, *arguments: Any) -> None:
        after(self, *arguments)
        if self.progress.step == step:
            self.checkpoints.wait()
            if self.world.rank == 1:
                damage(self.checkpoints.folder / f"step-{step - 1:08d}")
                kill()

    training.Training._after_step = killed


def kill_first(step: int) -> None:
    """Under torchrun: the first process dies after a step that is not saved, and is the last to start again."""
    if os.environ["RANK"] != "0":
        return
    if os.environ["TORCHELASTIC_RESTART_COUNT"] != "0":
        time.sleep(2)
        return
    after = training.Training._after_step

    def killed(self: training.Training, *arguments: Any) -> None:
        after(self, *arguments)
        if self.progress.step == step:
            self.checkpoints.wait()
            kill()

    training.Training._after_step = killed


def main(task: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    if "kill" in task:
        kill_at(*task["kill"])
    if "judged_from" in task:
        spikes.JUDGED_FROM = task["judged_from"]
    if "kill_after" in task:
        kill_after(task["kill_after"])
    if "kill_first" in task:
        kill_first(task["kill_first"])
    if "terminate" in task:
        terminate_at(task["terminate"])
    options = task["settings"]
    if "init_from" in options:
        options["init_from"] = Path(options["init_from"])
    settings = train_settings("tiny", Path(options.pop("out")), **options)
    settings = dataclasses.replace(settings, model=ModelConfig(**task["model"]))
    source = SyntheticSource(**task["source"])
    result = run(settings, source, source if task.get("validate") else None, quiet=not task.get("told"))
    if result.is_first:
        shown = ("losses", "validation", "record", "stopped_by")
        print(json.dumps({name: getattr(result, name) for name in shown}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
