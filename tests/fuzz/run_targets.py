"""Files of training that somebody may have changed, as functions of bytes: mixture, checkpoint and log of a run."""

import dataclasses
import json
import os
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from gato_data.mixing.make import plan_mixture
from gato_schemas.mixture import encode_mixture
from gato_trainer.checkpoints.export import export
from gato_trainer.checkpoints.header import HEADER, seal
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.presets import train_settings
from gato_trainer.run.log import LOG_FILE, last_record
from gato_trainer.run.plot import plot_losses
from gato_trainer.run.train import dry_run, run
from tests.fuzz.targets import Target
from tests.gato_data.reading.folders import episodes, write_dataset
from tests.trainer.synthetic import SyntheticSource

SMALL = ModelConfig(width=32, blocks=1, heads=2, feed_forward=64, vocabulary_size=1200, patch_channels=32, patch_grid=2)
SOURCE = SyntheticSource(context_length=24, vocabulary_size=1200, patches=4)
CHECKPOINT = Path("checkpoints", "step-00000002", HEADER)


def settings_of(out: Path, **options: object) -> TrainSettings:
    """Two steps of a model that takes no time."""
    values = {"steps": 2, "batch_size": 2, "context_length": 24, "log_every": 1, "device": "cpu", "checkpoint_every": 1}
    return dataclasses.replace(train_settings("tiny", out, **{**values, **options}), model=SMALL)


@cache
def kept(name: str) -> Path:
    """A folder that lives as long as this process."""
    folder = TemporaryDirectory(prefix=f"gato-{name}-")
    _FOLDERS.append(folder)
    return Path(folder.name)


_FOLDERS: list[TemporaryDirectory[str]] = []


@cache
def finished() -> Path:
    """A run of two steps with a checkpoint of each."""
    out = kept("run") / "run"
    run(settings_of(out), SOURCE, quiet=True)
    return out


@cache
def mixed() -> Path:
    """A mixture file of two datasets, in two stages."""
    folder = kept("mixture")
    write_dataset(folder / "pong", {"train": [episodes("pong", [9, 8])]})
    write_dataset(folder / "told", {"train": [episodes("told", [5])]})
    path = folder / "mixture.json"
    path.write_bytes(encode_mixture(plan_mixture([folder / "pong", folder / "told"], "pong=2,told=1", folder=folder)))
    return path


def planned(data: bytes) -> object:
    """`train --dry-run` of a mixture file with this content, beside its datasets."""
    path = mixed().with_name("changed.json")
    path.write_bytes(data)
    made = dry_run(path, settings_of(path.with_name("never")))
    return made.lines(), json.dumps(made.to_json())


def resumed(file: Path, data: bytes) -> object:
    """`--resume` of a finished run of which one file has this content, and an export of it."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        shutil.copytree(finished(), out)
        (out / file).write_bytes(data)
        result = run(dataclasses.replace(settings_of(out), resume="yes"), SOURCE, quiet=True)
        return result.lines(), result.to_json()


def exported(data: bytes) -> object:
    """An export of a run whose newest checkpoint has this header."""
    with TemporaryDirectory() as folder:
        checkpoint = Path(folder, CHECKPOINT).parent
        checkpoint.parent.mkdir()
        shutil.copytree((finished() / CHECKPOINT).parent, checkpoint, copy_function=os.link)
        (checkpoint / HEADER).unlink()
        (checkpoint / HEADER).write_bytes(data)
        return export(Path(folder), Path(folder, "model.safetensors"))


def drawn(data: bytes) -> object:
    """The curves of a log."""
    with TemporaryDirectory() as folder:
        Path(folder, LOG_FILE).write_bytes(data)
        return last_record(Path(folder)), plot_losses(Path(folder))


def unsealed() -> bytes:
    """The header of a checkpoint without its checksum."""
    header = json.loads((finished() / CHECKPOINT).read_bytes())
    del header["sha256"]
    return json.dumps(header, indent=1).encode()


RUN_TARGETS = {
    "mixture-planned": Target(planned, lambda: [mixed().read_bytes()]),
    "checkpoint": Target(lambda data: resumed(CHECKPOINT, data), lambda: [(finished() / CHECKPOINT).read_bytes()]),
    "checkpoint-sealed": Target(lambda data: resumed(CHECKPOINT, seal(data + b"\n")), lambda: [unsealed()]),
    "checkpoint-exported": Target(lambda data: exported(seal(data + b"\n")), lambda: [unsealed()]),
    "run-log-drawn": Target(drawn, lambda: (finished() / LOG_FILE).read_bytes().splitlines()),
    "run-log": Target(
        lambda data: resumed(Path(LOG_FILE), data), lambda: (finished() / LOG_FILE).read_bytes().splitlines()
    ),
    "run-settings": Target(
        lambda data: resumed(Path("run.json"), data), lambda: [(finished() / "run.json").read_bytes()]
    ),
}
"""Targets of `mutate_json.mutate`, whose seeds are JSON texts."""
