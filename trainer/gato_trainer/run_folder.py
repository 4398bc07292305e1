"""The folder of a run: who owns it, its log, and what must not change when it is continued."""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from gato_data.errors import OutputError, TrainError
from gato_trainer.batches import BatchSource
from gato_trainer.checkpoint import committed
from gato_trainer.config import ModelConfig, TrainSettings

RUN_FILE = "run.json"
LOG_FILE = "log.jsonl"
_OURS = (RUN_FILE, LOG_FILE, "checkpoints", "loss.png", "profile", "tensorboard", "wandb", "wandb-id")


def run_header(settings: TrainSettings, config: ModelConfig, source: BatchSource, parameters: int) -> dict[str, Any]:
    """What `run.json` and every checkpoint carry."""
    return {
        "settings": {**settings.to_json(), "model": dataclasses.asdict(config)},
        "datasets": list(source.dataset_names),
        "parameters": parameters,
        "torch": torch.__version__,
    }


def check_folder(settings: TrainSettings) -> bool:
    """Check that the run folder can be made, continued or overwritten; whether it holds a run now.

    Raises:
        OutputError: the folder holds something that is not a run.
        TrainError: it holds a run and neither `resume` nor `overwrite` was asked for, or there is nothing to resume.
    """
    out = settings.out
    if settings.resume and settings.overwrite:
        raise TrainError("--resume continues a run and --overwrite replaces it: give one of them")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; a run needs a folder")
    is_run = (out / RUN_FILE).is_file()
    if out.is_dir() and not is_run and any(out.iterdir()):
        raise OutputError(f"{out} is not empty and holds no run; choose another folder")
    if settings.resume and not is_run:
        raise TrainError(f"nothing to resume: {out} holds no run; leave out --resume to start one")
    if is_run and not settings.resume and not settings.overwrite:
        raise TrainError(f"{out} holds a run already; continue it with --resume, or start again with --overwrite")
    return is_run


def open_folder(settings: TrainSettings, header: dict[str, Any]) -> None:
    """Make the run folder, or clear it if it is to be overwritten.

    Raises:
        OutputError, TrainError: those of `check_folder`; or it cannot be written.
    """
    out = settings.out
    is_run = check_folder(settings)
    try:
        if is_run and not settings.resume:
            _clear(out)
        out.mkdir(parents=True, exist_ok=True)
        if not settings.resume:
            _write(out / RUN_FILE, json.dumps(header, indent=1) + "\n")
    except OSError as error:
        raise OutputError(f"cannot write to {out}: {error.strerror}") from error


def check_same_run(old: dict[str, Any], new: dict[str, Any], path: Path) -> None:
    """Refuse to continue a checkpoint with what would be another run.

    Raises:
        TrainError: names everything that differs: the model's shape, vocabulary, context length, batch size,
            seed or optimizer constants. (The mixture is checked by its reader.)
    """
    fixed = ("context_length", "batch_size", "seed", "precision", "ema", "weight_decay")
    differences = [
        (name, old["settings"].get(name), new["settings"][name])
        for name in fixed
        if old["settings"].get(name) != new["settings"][name]
    ]
    shape = old["settings"].get("model", {})
    differences += [
        (name, shape.get(name), value) for name, value in new["settings"]["model"].items() if shape.get(name) != value
    ]
    if differences:
        listed = "; ".join(f"{name} was {before}, now {after}" for name, before, after in differences)
        raise TrainError(f"{path} is of another run and cannot be continued: {listed}")


def trim_log(out: Path, step: int) -> None:
    """Drop log lines after `step`: a continued run writes them again."""
    log = out / LOG_FILE
    if not log.is_file():
        return
    kept = [line for line in log.read_text().splitlines() if _step_of(line) <= step]
    _write(log, "".join(line + "\n" for line in kept))


def last_record(out: Path) -> dict[str, Any]:
    """The last training line of the log; empty if there is none."""
    lines = (out / LOG_FILE).read_text().splitlines()
    records = (json.loads(line) for line in reversed(lines))
    found: dict[str, Any] = next((record for record in records if record["kind"] == "train"), {})
    return {name: value for name, value in found.items() if name != "kind"}


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # a line cut short by a kill


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(text)
    os.replace(temporary, path)


def _clear(out: Path) -> None:
    for name in _OURS:
        path = out / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def newest_checkpoint(out: Path) -> Path:
    """The newest whole checkpoint of a run.

    Raises:
        TrainError: there is none.
    """
    found = committed(out / "checkpoints")
    if not found:
        raise TrainError(f"{out} holds no checkpoint")
    return found[-1][1]
