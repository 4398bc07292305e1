"""The folder of a run: who owns it, and what must not change when it is continued."""

import os
import shutil
from dataclasses import asdict
from pathlib import Path

import msgspec
import torch

from gato_data.errors import OutputError, SettingError, TrainError
from gato_schemas.policy import POLICY
from gato_trainer.checkpoints.header import (
    RunHeader,
    encode_header,
)
from gato_trainer.config import ModelConfig, TrainSettings, name_told
from gato_trainer.data.batches import BatchSource, contents
from gato_trainer.data.skipped_steps import SkippedSteps

RUN_FILE = "run.json"
_OURS = (
    RUN_FILE,
    POLICY,
    "log.jsonl",
    "checkpoints",
    "loss.png",
    "profile",
    "memory",
    "tensorboard",
    "wandb",
    "wandb-id",
)


def run_header(
    settings: TrainSettings, config: ModelConfig, source: BatchSource, parameters: int, frozen: int
) -> RunHeader:
    """What `run.json` and every checkpoint carry."""
    return RunHeader(
        settings={name: value for name, value in settings.to_json().items() if name != "model"},
        model=config,
        vocabulary=source.vocabulary,
        datasets=contents(source),
        parameters=parameters,
        frozen_parameters=frozen,
        torch=str(torch.__version__),
    )


def check_folder(settings: TrainSettings) -> bool:
    """Check that the run folder can be made, continued or overwritten; whether it holds a run now.

    Raises:
        OutputError: the folder holds something that is not a run.
        TrainError: it holds a run and neither `resume` nor `overwrite` was asked for, or there is
            nothing to resume and "auto" was not asked for.
    """
    out = settings.out
    if settings.resume != "no" and settings.overwrite:
        raise TrainError("--resume continues a run and --overwrite replaces it: give one of them")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; a run needs a folder")
    is_run = (out / RUN_FILE).is_file()
    if out.is_dir() and not is_run and any(out.iterdir()):
        raise OutputError(f"{out} is not empty and holds no run; choose another folder")
    if settings.resume == "yes" and not is_run:
        raise TrainError(f"nothing to resume: {out} holds no run; leave out --resume to start one")
    if is_run and settings.resume == "no" and not settings.overwrite:
        raise TrainError(f"{out} holds a run already; continue it with --resume, or start again with --overwrite")
    return is_run


def open_folder(settings: TrainSettings, header: RunHeader) -> None:
    """Make the run folder, or clear it if it is to be overwritten.

    Raises:
        OutputError, TrainError: those of `check_folder`; or it cannot be written.
    """
    out = settings.out
    is_run = check_folder(settings)
    try:
        if is_run and settings.overwrite:
            _clear(out)
        out.mkdir(parents=True, exist_ok=True)
        if not is_run or settings.overwrite:
            replace_file(out / RUN_FILE, encode_header(header))
    except OSError as error:
        raise OutputError(f"cannot write to {out}: {error.strerror}") from error


def skipped_before(settings: TrainSettings) -> SkippedSteps:
    """The steps that `run.json` says are left out, whatever is asked for now.

    Raises:
        TrainError: it cannot be read.
    """
    return SkippedSteps.parse(_read_run(settings.out).settings.get("skip_steps", ""))


def keep_skipped(settings: TrainSettings) -> None:
    """Write into `run.json` which steps are left out, so that the run leaves them out from now on.

    Raises:
        TrainError: it cannot be read.
    """
    run = _read_run(settings.out)
    if run.settings.get("skip_steps", "") != settings.skip_steps:
        run.settings["skip_steps"] = settings.skip_steps
        replace_file(settings.out / RUN_FILE, encode_header(run))


def _read_run(out: Path) -> RunHeader:
    path = out / RUN_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunHeader)
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError, SettingError) as error:
        raise TrainError(f"{path} cannot be read ({error}): bring it back from a copy, or use --overwrite") from error


def check_same_run(old: RunHeader, new: RunHeader, path: Path) -> None:
    """Refuse to continue a checkpoint with what would be another run.

    Raises:
        TrainError: names everything that differs: the model's shape, vocabulary, context length,
            batch size, seed, optimizer constants, or what is trained. (The mixture is checked by
            its reader.)
    """
    fixed = ("context_length", "batch_size", "seed", "precision", "ema", "weight_decay")
    # A run that says nothing of these is older than they are.
    later = {"optimizer_state": "fp32", "freeze": [], "lora": 0, "lora_alpha": None, "lora_on": []}
    defaults = dict.fromkeys(fixed) | later
    before, now = (
        {name: run.settings.get(name, default) for name, default in defaults.items()} | asdict(run.model)
        for run in (old, new)
    )
    differences = [
        f"{name_told(name)} was {before[name]}, now {now[name]}" for name in now if before[name] != now[name]
    ]
    if differences:
        raise TrainError(f"{path} is of another run and cannot be continued: {'; '.join(differences)}")


def replace_file(path: Path, content: bytes) -> None:
    """Write a whole file under a temporary name, then rename it."""
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _clear(out: Path) -> None:
    for name in _OURS:
        path = out / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
