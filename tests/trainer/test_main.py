import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gato_data.errors import MissingPackageError, MixtureError
from gato_data.reading.batch import Batch
from gato_trainer import batches, train
from gato_trainer.__main__ import main
from gato_trainer.batches import check_identity, identity, passes
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.inputs import Randomness, prepare
from gato_trainer.loss import LossTotals
from gato_trainer.plot import plot_losses
from gato_trainer.progress import Log, progress_line
from gato_trainer.synthetic import SyntheticSource
from gato_trainer.train import run
from gato_trainer.transformer import Gato

Make = Callable[..., TrainSettings]


@pytest.fixture
def synthetic(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_sources(mixture: Path, context_length: int, seed: int, **_: object) -> tuple[SyntheticSource, None]:
        if not mixture.exists():
            raise MixtureError(f"no mixture {mixture}")
        return SyntheticSource(context_length=context_length, vocabulary_size=1200), None

    monkeypatch.setattr(train, "open_sources", open_sources)


def arguments(out: Path, *more: str) -> list[str]:
    mixture = out.parent / "mixture.json"
    mixture.write_text("{}")
    sizes = ["--steps", "2", "--batch-size", "2", "--context-length", "24", "--device", "cpu"]
    return ["train", "--mixture", str(mixture), "--out", str(out), *sizes, *more]


@pytest.mark.usefixtures("synthetic")
def test_train_plan_resume_and_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(arguments(out, "--dry-run", "--json")) == 0
    planned = json.loads(capsys.readouterr().out)
    assert not out.exists()
    assert main(arguments(out, "--stop-step", "1", "--json")) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert (result["step"], result["parameters"]) == (1, planned["parameters"])
    assert "step 1/2 | loss " in captured.err
    assert main(arguments(out, "--resume")) == 0
    assert "step: 2" in capsys.readouterr().out
    assert main(["export", str(out), "--out", str(tmp_path / "model.safetensors")]) == 0
    assert (tmp_path / "model.safetensors").stat().st_size > 4 * planned["parameters"]


@pytest.mark.usefixtures("synthetic")
def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--mixture", str(tmp_path / "none.json"), "--out", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err.startswith("Error: no mixture")
    assert main(arguments(tmp_path / "run", "--learning-rate", "0")) == 1
    assert capsys.readouterr().err == "Error: learning_rate must be positive; got 0.0\n"
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--model", "7b"])


def test_a_stream_may_use_its_buffers_again(small_settings: Make, source: SyntheticSource) -> None:
    @dataclass(frozen=True)
    class Streaming(SyntheticSource):
        """Overwrites the arrays of a batch when the next one is asked for, as the reader does."""

        def stream(self, ranges: Iterable[range]) -> Iterator[Batch]:
            for samples in ranges:
                batch = self.batch(samples)
                yield batch
                for field in fields(batch):
                    array = getattr(batch, field.name)
                    if isinstance(array, np.ndarray):
                        array[...] = 7

    expected = run(small_settings("single"), source, quiet=True)
    streamed = run(small_settings("stream", micro_batch_size=2), Streaming(**asdict(source)), quiet=True)
    assert [loss for _, loss in streamed.losses] == pytest.approx([loss for _, loss in expected.losses], rel=1e-5)


class NoWaiting(TorchDispatchMode):
    """Fails at every operation that makes the host wait for a device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        waiting = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal")
        assert not any(name in func.name() for name in waiting), f"{func.name()} waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("positions", ["transformer-xl", "rope"])
def test_a_step_never_waits_for_the_device(
    positions: str, small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource
) -> None:
    from dataclasses import replace

    model = build(replace(small, positions=positions, dropout=0.1))
    inputs = prepare(source.batch(range(4)), model.config, Randomness(0, 0))
    totals = LossTotals.zeros(source.dataset_names, torch.device("cpu"))
    with NoWaiting():
        row_loss, correct = model(inputs)
        row_loss.sum().backward()
        totals.add(inputs, row_loss, correct)
    with pytest.raises(AssertionError, match="waits"), NoWaiting():
        row_loss.sum().item()


def test_tensorboard_is_optional(
    small_settings: Make, source: SyntheticSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(MissingPackageError, match="pip install tensorboard"):
        run(small_settings(tensorboard=True), source, quiet=True)


def test_scalars_go_to_tensorboard_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points: list[tuple[str, float, int]] = []

    class Writer:
        def add_scalar(self, tag: str, value: float, step: int) -> None:
            points.append((tag, value, step))

        def close(self) -> None:
            points.append(("closed", 0.0, 0))

    monkeypatch.setattr("gato_trainer.progress._tensorboard", lambda out: Writer())
    log = Log(tmp_path, tensorboard=True, first=True, quiet=True)
    log.write("train", {"step": 3, "loss": 1.5, "dataset_loss": {}}, "line")
    log.close()
    assert points == [("train/loss", 1.5, 3), ("closed", 0.0, 0)]


def test_the_progress_line_says_what_is_unknown() -> None:
    record = {
        "step": 1,
        "loss": None,
        "dataset_loss": {"pong": 1.25},
        "modality_loss": {},
        "action_accuracy": None,
        "learning_rate": 1e-7,
        "tokens_per_second": 12345.6,
        "supervised_tokens_per_second": 78.9,
        "mfu": None,
        "data_wait": 0.004,
        "memory_bytes": 2**30,
    }
    line = progress_line(record, 50)
    assert line == (
        "step 1/50 | loss n/a (pong 1.250) | action accuracy n/a | lr 1.00e-07 | "
        "12,346 tokens/s, 79 supervised | MFU n/a | data wait 0.4 % | 1.00 GiB"
    )


def test_no_points_no_curve(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("")
    assert plot_losses(tmp_path) is None
    assert list(tmp_path.iterdir()) == [tmp_path / "log.jsonl"]


def test_a_source_that_cannot_tell(source: SyntheticSource) -> None:
    assert identity(source, 5) == {}
    assert passes(source, 100) == {}
    with pytest.raises(MixtureError, match="weights"):
        check_identity({"weights": "[1]"}, source, 5)
    assert batches.stream(source, [range(2)]).__next__().tokens.shape == (2, 25)


def test_presets_are_known_without_torch() -> None:
    code = "import sys, gato_trainer.presets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
