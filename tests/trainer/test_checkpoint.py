import dataclasses
import errno
import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gato_data.errors import TrainError
from gato_trainer import checkpoint
from gato_trainer.checkpoint import committed, read_header
from gato_trainer.config import TrainSettings
from gato_trainer.synthetic import SyntheticSource
from gato_trainer.train import run

Make = Callable[..., TrainSettings]
WORKER = Path(__file__).with_name("worker.py")


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return load_file(next(path.glob("*.safetensors")))


def test_the_newest_are_kept(small_settings: Make, source: SyntheticSource) -> None:
    settings = small_settings(checkpoint_every=1, keep_checkpoints=2)
    run(settings, source, quiet=True)
    found = committed(settings.out / "checkpoints")
    assert [step for step, _ in found] == [5, 6]
    assert {path.name for path in (settings.out / "checkpoints").iterdir()} == {path.name for _, path in found}
    header = read_header(found[-1][1])
    assert (header["step"], header["next_sample"]) == (6, 24)
    assert header["settings"]["model"]["vocabulary_size"] == 1200
    assert header["datasets"] == ["control", "text"]


def test_a_copy_is_saved_while_training_goes_on(small_settings: Make, source: SyntheticSource) -> None:
    eager, stopped = small_settings("eager", checkpoint_every=3), small_settings("stopped", stop_step=3)
    run(eager, source, quiet=True)
    run(stopped, source, quiet=True)
    first, second = (tensors(settings.out / "checkpoints" / "step-00000003") for settings in (eager, stopped))
    assert all(torch.equal(first[name], second[name]) for name in second)


@pytest.mark.parametrize("moment", ["data", "rename"])
def test_a_kill_while_saving_loses_nothing_before_it(
    moment: str, small_settings: Make, source: SyntheticSource
) -> None:
    settings = small_settings("killed", checkpoint_every=2)
    options = {name: getattr(settings, name) for name in ("steps", "batch_size", "context_length", "checkpoint_every")}
    task = {
        "settings": {**options, "device": "cpu", "out": str(settings.out)},
        "model": dataclasses.asdict(settings.model),
        "source": dataclasses.asdict(source),
        "kill": [moment, 4],
    }
    done = subprocess.run([sys.executable, str(WORKER), json.dumps(task)], capture_output=True, timeout=120)
    assert done.returncode == -9, done.stderr.decode()
    assert [step for step, _ in committed(settings.out / "checkpoints")] == [2]
    assert (settings.out / "checkpoints" / ".step-00000004.partial").is_dir()
    run(dataclasses.replace(settings, resume=True), source, quiet=True)
    whole = small_settings("whole")
    run(whole, source, quiet=True)
    first, second = (tensors(each.out / "checkpoints" / "step-00000006") for each in (settings, whole))
    assert all(torch.equal(first[name], second[name]) for name in second)
    assert not list((settings.out / "checkpoints").glob(".step-*"))


def full_disk(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_fills_up_keeps_the_last_good_checkpoint(
    small_settings: Make, source: SyntheticSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small_settings(stop_step=2)
    run(settings, source, quiet=True)
    resumed = dataclasses.replace(settings, stop_step=None, resume=True)
    with monkeypatch.context() as patch:
        patch.setattr("torch.distributed.checkpoint.filesystem.os.fsync", full_disk)
        with pytest.raises(TrainError, match=r"step 6 could not be written: .*No space left.*step-00000002.*--resume"):
            run(resumed, source, quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10})())
        with pytest.raises(TrainError, match=r"needs 1.2 MB and .*checkpoints has 0.0 MB free.*free some space"):
            run(resumed, source, quiet=True)
    assert {path.name for path in (settings.out / "checkpoints").iterdir()} == {"step-00000002"}
    assert run(resumed, source, quiet=True).step == 6


def damage_header(path: Path) -> None:
    (path / "checkpoint.json").write_text('{"format": 1, "files"')


def damage_format(path: Path) -> None:
    header = json.loads((path / "checkpoint.json").read_text())
    (path / "checkpoint.json").write_text(json.dumps({**header, "format": 2}))


def damage_size(path: Path) -> None:
    file = next(path.glob("*.safetensors"))
    os.truncate(file, file.stat().st_size - 1)


def damage_content(path: Path) -> None:
    file = next(path.glob("*.safetensors"))
    with open(file, "r+b") as stream:
        stream.write(b"\xff" * 8)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_header, "cannot be read"),
        (damage_format, "has format 2"),
        (damage_size, "should have .* bytes"),
        (damage_content, "cannot be loaded"),
    ],
)
def test_damaged_checkpoints_are_refused(
    damage: Callable[[Path], None], message: str, small_settings: Make, source: SyntheticSource
) -> None:
    settings = small_settings(steps=1)
    run(settings, source, quiet=True)
    damage(committed(settings.out / "checkpoints")[-1][1])
    with pytest.raises(TrainError, match=message):
        run(dataclasses.replace(settings, resume=True), source, quiet=True)


def test_loading_never_unpickles(
    small_settings: Make, source: SyntheticSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small_settings(stop_step=3)
    run(settings, source, quiet=True)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("unpickled")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, refuse)
    with pytest.raises(AssertionError, match="unpickled"):
        pickle.load(io.BytesIO())
    assert run(dataclasses.replace(settings, stop_step=None, resume=True), source, quiet=True).step == 6


def test_a_log_cut_by_a_kill_is_mended(small_settings: Make, source: SyntheticSource) -> None:
    settings = small_settings(stop_step=3)
    run(settings, source, quiet=True)
    log = settings.out / "log.jsonl"
    log.write_text(log.read_text() + '{"kind": "train", "step": 4, "loss"')
    run(dataclasses.replace(settings, stop_step=None, resume=True), source, quiet=True)
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [1, 2, 3, 4, 5, 6]


def test_a_run_without_a_checkpoint_starts_at_zero(small_settings: Make, source: SyntheticSource) -> None:
    settings = small_settings()
    run(settings, source, quiet=True)
    for _, path in committed(settings.out / "checkpoints"):
        (path / "checkpoint.json").unlink()
    resumed = run(dataclasses.replace(settings, resume=True), source, quiet=True)
    assert [step for step, _ in resumed.losses] == [1, 2, 3, 4, 5, 6]
