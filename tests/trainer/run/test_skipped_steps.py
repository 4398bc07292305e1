"""Steps that are left out stay steps of the run, and no window of theirs is read."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gato_data.errors import FormatError, SettingError, TrainError
from gato_data.reading.batch import Batch
from gato_trainer.checkpoints.saving import committed
from gato_trainer.config import TrainSettings
from gato_trainer.run import training
from gato_trainer.run.train import run
from tests.trainer.synthetic import SyntheticSource

Make = Callable[..., TrainSettings]


@dataclasses.dataclass(frozen=True)
class Failing(SyntheticSource):
    """The windows of steps 3 and 4 cannot be read."""

    def batch(self, samples: range) -> Batch:
        if samples.start in range(8, 16):
            raise FormatError("shard x.tfrecord is damaged")
        return SyntheticSource.batch(self, samples)


@pytest.fixture
def failing(source: SyntheticSource) -> Failing:
    return Failing(**dataclasses.asdict(source))


def tensors(out: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(next((out / "checkpoints" / f"step-{step:08d}").glob("*.safetensors")))


def lines_of(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_they_change_nothing_and_read_nothing(
    small_settings: Make, failing: Failing, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = small_settings(skip_steps="3:5", checkpoint_every=1, keep_checkpoints=9, ema=0.5)
    result = run(settings, failing)
    assert result.step == 6
    assert [step for step, _ in result.losses] == [1, 2, 5, 6]
    assert result.windows_left_out == 8
    before, behind = tensors(settings.out, 2), tensors(settings.out, 4)
    assert all(torch.equal(before[name], behind[name]) for name in before)
    skipped = [line for line in lines_of(settings.out) if line["kind"] == "skipped"]
    assert [(line["step"], line["reason"]) for line in skipped] == [(3, "skip_steps"), (4, "skip_steps")]
    assert [window["sample"] for window in skipped[0]["windows"]] == [8, 9, 10, 11]  # type: ignore[index,attr-defined]
    rates = {line["step"]: line["learning_rate"] for line in lines_of(settings.out) if line["kind"] == "train"}
    whole = small_settings("whole")
    run(whole, SyntheticSource(**dataclasses.asdict(failing)), quiet=True)
    assert rates == {line["step"]: line["learning_rate"] for line in lines_of(whole.out)}
    assert "step 3: its 4 windows are left out, as --skip-steps 3:5 says" in capsys.readouterr().err


def test_a_run_goes_on_behind_a_wall_and_keeps_what_it_left_out(
    small_settings: Make, source: SyntheticSource, failing: Failing, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = small_settings("wall", resume="auto")
    with pytest.raises(FormatError):
        run(settings, failing)
    assert "without the windows of the next step with --resume --skip-steps 3" in capsys.readouterr().err
    run(dataclasses.replace(settings, skip_steps="3:5", stop_step=4), failing, quiet=True)
    assert json.loads((settings.out / "run.json").read_text())["settings"]["skip_steps"] == "3:5"
    for _, path in committed(settings.out / "checkpoints")[1:]:
        next(path.glob("*.safetensors")).unlink()  # back to the checkpoint before them
    assert run(settings, failing, quiet=True).step == 6  # the option isn't given again
    whole = small_settings("whole", skip_steps="3:5")
    run(whole, source, quiet=True)
    first, second = tensors(settings.out, 6), tensors(whole.out, 6)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_comes_too_late_is_said(
    small_settings: Make, source: SyntheticSource, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = small_settings(stop_step=4)
    run(settings, source, quiet=True)
    run(dataclasses.replace(settings, stop_step=None, resume="yes", skip_steps="2:4,6"), source)
    late = "--skip-steps 2:4 comes too late: the checkpoint at step 4 has learnt from it"
    assert late in capsys.readouterr().err.splitlines()
    run(dataclasses.replace(settings, resume="yes", skip_steps="2:4"), source)
    assert "too late" not in capsys.readouterr().err  # the run knows


def test_a_loss_that_is_not_finite_names_the_option(
    small_settings: Make, source: SyntheticSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = training.learning_rate
    settings = small_settings(checkpoint_every=4)
    with monkeypatch.context() as patch:
        patch.setattr(training, "learning_rate", lambda step, settings: 1e30 if step == 4 else rate(step, settings))
        with pytest.raises(TrainError, match=r"loss of step 6 .*with --resume --skip-steps 6, or try a lower --learn"):
            run(settings, source, quiet=True)
    result = run(dataclasses.replace(settings, resume="yes", skip_steps="6"), source, quiet=True)
    assert [step for step, _ in result.losses] == [5]


def test_wrong_steps_and_files(small_settings: Make, source: SyntheticSource) -> None:
    with pytest.raises(SettingError, match="skip_steps '0:3' are no steps"):
        small_settings(skip_steps="0:3")
    settings = small_settings("beyond", skip_steps="3,7:1000000000000", steps=6)
    with pytest.raises(TrainError, match="--skip-steps 7:1000000000000 names no step of this run, which has 6"):
        run(settings, source, quiet=True)
    settings = small_settings(steps=1)
    run(settings, source, quiet=True)
    (settings.out / "run.json").write_text("{")
    with pytest.raises(TrainError, match=r"run.json cannot be read .*: bring it back from a copy, or use --overwrite"):
        run(dataclasses.replace(settings, resume="yes"), source, quiet=True)
