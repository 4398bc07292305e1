import dataclasses
import errno
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gato_data.errors import TrainError
from gato_trainer.checkpoints import saving
from gato_trainer.checkpoints.export import export
from gato_trainer.checkpoints.header import DamagedCheckpointError, SavedFile, read_header, seal
from gato_trainer.checkpoints.saving import committed
from gato_trainer.config import TrainSettings
from gato_trainer.run.train import run
from tests.trainer.synthetic import SyntheticSource

Make = Callable[..., TrainSettings]
WORKER = Path(__file__).parents[1] / "worker.py"


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return load_file(next(path.glob("*.safetensors")))


def test_the_newest_are_kept(small_settings: Make, source: SyntheticSource) -> None:
    settings = small_settings(checkpoint_every=1, keep_checkpoints=2)
    run(settings, source, quiet=True)
    found = committed(settings.out / "checkpoints")
    assert [step for step, _ in found] == [5, 6]
    assert {path.name for path in (settings.out / "checkpoints").iterdir()} == {path.name for _, path in found}
    header = read_header(found[-1][1])
    assert (header.format, header.step, header.next_sample) == (2, 6, 24)
    assert header.model.vocabulary_size == 1200
    assert header.datasets == {"control": "", "text": ""}
    [file] = found[-1][1].glob("*.safetensors")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert header.files == {file.name: SavedFile(file.stat().st_size, digest)}


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
    run(dataclasses.replace(settings, resume="yes"), source, quiet=True)
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
    resumed = dataclasses.replace(settings, stop_step=None, resume="yes")
    with monkeypatch.context() as patch:
        patch.setattr("torch.distributed.checkpoint.filesystem.os.fsync", full_disk)
        with pytest.raises(TrainError, match=r"step 6 could not be written: .*No space left.*step-00000002.*--resume"):
            run(resumed, source, quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr(saving.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10})())
        with pytest.raises(TrainError, match=r"needs 1.2 MB and .*checkpoints has 0.0 MB free.*free some space"):
            run(resumed, source, quiet=True)
    assert {path.name for path in (settings.out / "checkpoints").iterdir()} == {"step-00000002"}
    assert run(resumed, source, quiet=True).step == 6


@pytest.fixture
def stopped(small_settings: Make, source: SyntheticSource) -> TrainSettings:
    """A run of 4 of 6 steps with checkpoints after 2 and 4, about to be resumed."""
    settings = small_settings("stopped", checkpoint_every=2, stop_step=4)
    run(settings, source, quiet=True)
    return dataclasses.replace(settings, stop_step=None, resume="yes")


def checkpoint_of(settings: TrainSettings, step: int) -> Path:
    return settings.out / "checkpoints" / f"step-{step:08d}"


def flip(file: Path, place: float, bit: int = 0) -> None:
    """Flip one bit at a place between the first byte, 0, and the last one, 1."""
    data = bytearray(file.read_bytes())
    data[round(place * (len(data) - 1))] ^= 1 << bit
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "place", "bit"),
    [("*.safetensors", 0, 0), ("*.safetensors", 0.3, 5), ("*.safetensors", 1, 7), ("checkpoint.json", 0.5, 2)],
)
def test_a_flipped_bit_anywhere_costs_one_checkpoint(
    name: str,
    place: float,
    bit: int,
    stopped: TrainSettings,
    source: SyntheticSource,
    small_settings: Make,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = checkpoint_of(stopped, 4)
    flip(next(path.glob(name)), place, bit)
    result = run(stopped, source)
    said = capsys.readouterr().err
    [file] = (file.name for file in (path.parent / "damaged-step-00000004").glob(name))
    assert f"checkpoint {path} is damaged: {file} does not match its checksum; it is kept as damaged-step-" in said
    assert f"continuing at step 2 from {checkpoint_of(stopped, 2)}" in said
    whole = small_settings("whole")
    assert result.losses == run(whole, source, quiet=True).losses[2:]
    assert {*(entry.name for entry in path.parent.iterdir())} == {
        "damaged-step-00000004", "step-00000002", "step-00000004", "step-00000006",
    }  # fmt: skip


def test_every_bit_of_the_header_counts(stopped: TrainSettings) -> None:
    file = checkpoint_of(stopped, 4) / "checkpoint.json"
    data = file.read_bytes()
    for at in range(len(data)):
        file.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        with pytest.raises(DamagedCheckpointError, match="does not match its checksum"):
            read_header(file.parent)
    file.write_bytes(data)
    assert read_header(file.parent).step == 4


def lose_header(path: Path) -> None:
    (path / "checkpoint.json").unlink()


def lose_tensors(path: Path) -> None:
    next(path.glob("*.safetensors")).unlink()


def cut(path: Path) -> None:
    file = next(path.glob("*.safetensors"))
    os.truncate(file, file.stat().st_size - 1)


def add(path: Path) -> None:
    (path / "more.safetensors").write_bytes(next(path.glob("*.safetensors")).read_bytes())


def rename(path: Path) -> None:
    (path / "checkpoint.json").write_bytes((path.with_name("step-00000002") / "checkpoint.json").read_bytes())


def reseal(**changes: Any) -> Callable[[Path], None]:
    """Another header whose checksum fits, as no damage but a careless program would leave it."""

    def change(path: Path) -> None:
        header = {**json.loads((path / "checkpoint.json").read_text()), **changes}
        del header["sha256"]
        (path / "checkpoint.json").write_bytes(seal(json.dumps(header, indent=1).encode() + b"\n"))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lose_header, "checkpoint.json cannot be read (No such file or directory)"),
        (lose_tensors, "shard-00001-model-00001-of-00001.safetensors is missing"),
        (cut, "bytes were written"),
        (add, "more.safetensors does not belong to it"),
        (rename, "checkpoint.json is of step 2, sample 8"),
        (reseal(step="four"), "Expected `int`, got `str` - at `$.step`"),
        (reseal(settings=[]), "Expected `object`, got `array` - at `$.settings`"),
        (reseal(model={"width": 2**63}), "missing required field `blocks` - at `$.model`"),
        (reseal(files={"../run.json": {"size": 1, "sha256": ""}}), "does not belong to it"),
    ],
)
def test_whatever_is_wrong_with_the_newest_it_goes_on_from_the_one_before(
    damage: Callable[[Path], None],
    message: str,
    stopped: TrainSettings,
    source: SyntheticSource,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(checkpoint_of(stopped, 4))
    assert [step for step, _ in run(stopped, source).losses] == [3, 4, 5, 6]
    said = capsys.readouterr().err.splitlines()[0]
    assert said.startswith(f"checkpoint {checkpoint_of(stopped, 4)} is damaged: ")
    assert re.search(re.escape(message).replace("bytes\\ were", r"\d+\ bytes,\ \d+\ were"), said)


def test_a_checkpoint_that_is_not_resumed_keeps_its_name(stopped: TrainSettings, source: SyntheticSource) -> None:
    flip(checkpoint_of(stopped, 4) / "checkpoint.json", 0.5)
    with pytest.raises(TrainError, match="--seed was 0, now 1"):
        run(dataclasses.replace(stopped, seed=1), source, quiet=True)
    assert checkpoint_of(stopped, 4).is_dir()


def test_where_all_are_damaged_nothing_is_touched(stopped: TrainSettings, source: SyntheticSource) -> None:
    for step in (2, 4):
        flip(next(checkpoint_of(stopped, step).glob("*.safetensors")), 0.7)
    files = {path: path.read_bytes() for path in stopped.out.rglob("*") if path.is_file()}
    with pytest.raises(
        TrainError, match=r"no checkpoint in .* is whole \(.*00000004.*; .*00000002.*nothing was deleted"
    ):
        run(stopped, source, quiet=True)
    assert {path: path.read_bytes() for path in stopped.out.rglob("*") if path.is_file()} == files
    with pytest.raises(TrainError, match=r"step-00000004 is damaged: .*; move it away to use the one before"):
        export(stopped.out, stopped.out.parent / "model.safetensors")


def older_format(path: Path) -> None:
    header = json.loads((path / "checkpoint.json").read_text())
    del header["sha256"]
    (path / "checkpoint.json").write_text(json.dumps({**header, "format": 1}, indent=1))


@pytest.mark.parametrize(("change", "version"), [(older_format, 1), (reseal(format=3), 3)])
def test_other_formats_are_no_damage(
    change: Callable[[Path], None], version: int, stopped: TrainSettings, source: SyntheticSource
) -> None:
    change(checkpoint_of(stopped, 4))
    with pytest.raises(TrainError, match=f"has format {version}, this version reads format 2: continue the run with"):
        run(stopped, source, quiet=True)
    assert checkpoint_of(stopped, 4).is_dir()


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
    assert run(dataclasses.replace(settings, stop_step=None, resume="yes"), source, quiet=True).step == 6


def test_a_log_cut_by_a_kill_is_mended(
    small_settings: Make, source: SyntheticSource, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = small_settings(stop_step=3)
    run(settings, source, quiet=True)
    log = settings.out / "log.jsonl"
    log.write_text(log.read_text() + '{"kind": "train", "step": 4, "loss"')
    run(dataclasses.replace(settings, stop_step=None, resume="yes"), source)
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [1, 2, 3, 4, 5, 6]
    assert "damaged" not in capsys.readouterr().err


def test_a_damaged_line_of_the_log_is_left_out_and_said(
    stopped: TrainSettings, source: SyntheticSource, capsys: pytest.CaptureFixture[str]
) -> None:
    log = stopped.out / "log.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0] + lines[1].replace(b"train", b"tr\xffin") + lines[2] + lines[3])
    run(stopped, source)
    assert f"{log} was damaged: a line left out" in capsys.readouterr().err.splitlines()
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [1, 3, 4, 5, 6]
    log.write_bytes(b"\xff" * 40)
    finished = run(stopped, source, quiet=True)
    assert (finished.losses, log.read_bytes()) == ([], b"")


def test_a_run_without_a_checkpoint_starts_at_zero(small_settings: Make, source: SyntheticSource) -> None:
    settings = small_settings()
    run(settings, source, quiet=True)
    for _, path in committed(settings.out / "checkpoints"):
        shutil.rmtree(path)
    resumed = run(dataclasses.replace(settings, resume="yes"), source, quiet=True)
    assert [step for step, _ in resumed.losses] == [1, 2, 3, 4, 5, 6]
