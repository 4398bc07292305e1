"""How a run ends early, and what is left then."""

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from gato_data.errors import FormatError, OutputError, TrainError
from gato_data.reading.batch import Batch
from gato_trainer.checkpoints.saving import committed
from gato_trainer.config import TrainSettings
from gato_trainer.run import training
from gato_trainer.run.stopping import StopSignal, out_of_memory
from gato_trainer.run.train import run
from gato_trainer.world import choose_device
from tests.trainer.synthetic import SyntheticSource

Make = Callable[..., TrainSettings]


def test_sigterm_saves_and_stops(small_settings: Make, source: SyntheticSource) -> None:
    @dataclass(frozen=True)
    class Terminating(SyntheticSource):
        def batch(self, samples: range) -> Batch:
            if samples.start == 5 * 4:
                os.kill(os.getpid(), signal.SIGTERM)
            return SyntheticSource.batch(self, samples)

    settings = small_settings(steps=500)
    before = signal.getsignal(signal.SIGTERM)
    result = run(settings, Terminating(**dataclasses.asdict(source)), quiet=True)
    assert (result.stopped_by, result.exit_code) == ("SIGTERM", 143)
    assert 0 < result.step < 500
    assert committed(settings.out / "checkpoints")[-1][0] == result.step
    assert signal.getsignal(signal.SIGTERM) is before


def test_only_a_second_interrupt_does_not_wait() -> None:
    with StopSignal() as stop:
        for _ in range(2):  # torchrun hands on what its processes may have got already
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.received == "SIGTERM"
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == "SIGINT"


def test_a_run_that_is_stopped_before_its_first_step_can_be_continued(
    small_settings: Make, source: SyntheticSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(StopSignal, "__init__", lambda self: self.__dict__.update(received="SIGTERM", _before={}))
        stopped = run(small_settings(), source, quiet=True)
    assert (stopped.step, stopped.losses) == (0, [])
    assert stopped.lines() == [
        f"{stopped.out}: step 0",
        "stopped by SIGTERM: the same command with --resume continues",
    ]
    resumed = run(small_settings(resume="yes"), source, quiet=True)
    whole = run(small_settings("whole"), source, quiet=True)
    assert resumed.losses == whole.losses


def test_a_shard_that_fails_under_a_run_loses_nothing(
    small_settings: Make, source: SyntheticSource, capsys: pytest.CaptureFixture[str]
) -> None:
    @dataclass(frozen=True)
    class Failing(SyntheticSource):
        def batch(self, samples: range) -> Batch:
            if samples.start >= 4 * 4:
                raise FormatError("shard x.tfrecord changed while it was read")
            return SyntheticSource.batch(self, samples)

    settings = small_settings()
    with pytest.raises(FormatError, match="changed while"):
        run(settings, Failing(**dataclasses.asdict(source)))
    assert "saved at step 4: continue with --resume" in capsys.readouterr().err
    assert committed(settings.out / "checkpoints")[-1][0] == 4


def test_a_loss_that_is_not_finite_stops_with_a_dump(
    small_settings: Make, source: SyntheticSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = training.learning_rate
    monkeypatch.setattr(training, "learning_rate", lambda step, settings: 1e30 if step == 4 else rate(step, settings))
    settings = small_settings(checkpoint_every=2)
    with pytest.raises(TrainError, match=r"loss of step 6 is not finite.*step-00000004"):
        run(settings, source, quiet=True)
    dump = json.loads((settings.out / "nonfinite-step-00000006.json").read_text())
    assert [window["sample"] for window in dump["windows"]] == [20, 21, 22, 23]
    assert [window["dataset"] for window in dump["windows"]] == ["control", "control", "control", "text"]
    assert [step for step, _ in committed(settings.out / "checkpoints")] == [2, 4]


@pytest.mark.parametrize("name", ["exp_avg_sq", "parameter"])
def test_a_state_that_is_not_finite_is_never_saved(
    name: str, small_settings: Make, source: SyntheticSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = training.Training._after_step

    def spoil(self: training.Training, *arguments: Any) -> None:
        if self.progress.step == 4:
            gain = self.model.norm.gain
            tensor = gain.detach() if name == "parameter" else self.optimizer.state[gain][name]
            tensor[3] = float("inf")
        after(self, *arguments)

    monkeypatch.setattr(training.Training, "_after_step", spoil)
    settings = small_settings(checkpoint_every=2)
    with pytest.raises(TrainError, match=r"the state after step 4 is not finite.*step-00000002"):
        run(settings, source, quiet=True)
    assert [step for step, _ in committed(settings.out / "checkpoints")] == [2]
    dump = json.loads((settings.out / "nonfinite-step-00000004.json").read_text())
    assert [window["sample"] for window in dump["windows"]] == [12, 13, 14, 15]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_cuda_without_a_gpu() -> None:
    with pytest.raises(TrainError, match="torch sees no GPU"):
        choose_device("cuda")


def test_a_disk_that_fills_up_under_the_log(
    small_settings: Make, source: SyntheticSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("gato_trainer.run.progress.Log.write", full)
    with pytest.raises(OutputError, match=r"No space left on device.*--resume"):
        run(small_settings(), source, quiet=True)


def test_running_out_of_memory_says_what_to_lower(small_settings: Make) -> None:
    settings = small_settings(micro_batch_size=2)
    error = RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: ...")
    assert "--micro-batch-size (now 2" in str(out_of_memory(error, settings, 1))
    assert "--micro-batch-size (now 2" in str(out_of_memory(MemoryError(), small_settings(), 2))
    assert "1 window of 24 tokens at once: lower --context-length" in str(out_of_memory(error, settings, 4))
    assert out_of_memory(RuntimeError("shapes differ"), settings, 1) is None
