import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gato_data.errors import OutputError, TrainError
from gato_data.reading.batch import Batch
from gato_trainer.checkpoints.export import export
from gato_trainer.checkpoints.saving import committed
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.presets import train_settings
from gato_trainer.run.train import run
from tests.trainer.synthetic import SyntheticSource

Make = Callable[..., TrainSettings]


def log_of(out: Path, kind: str = "train") -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [record for record in records if record["kind"] == kind]


def test_a_tiny_model_overfits_a_few_windows(tmp_path: Path) -> None:
    source = SyntheticSource(context_length=48, vocabulary_size=1300, patches=4, windows=4)
    settings = train_settings(
        "tiny", tmp_path / "run", steps=120, batch_size=4, context_length=48, stochastic_depth=0.0, device="cpu"
    )
    result = run(settings, source, source, quiet=True)
    assert result.first_loss == pytest.approx(7.17, abs=0.3)  # ln 1300
    assert result.last_loss is not None
    assert result.last_loss < 0.3
    assert result.validation is not None
    assert result.validation["action_accuracy"] > 0.95
    assert (tmp_path / "run" / "loss.png").read_bytes()[:4] == b"\x89PNG"


def test_the_log_has_the_losses_of_every_group(small_settings: Make, source: SyntheticSource) -> None:
    settings = small_settings()
    result = run(settings, source, source, quiet=True)
    records = log_of(settings.out)
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]
    first = records[0]
    assert set(first["dataset_loss"]) == {"control", "text"}
    assert set(first["modality_loss"]) == {"text", "discrete"}
    batch = source.batch(range(4))
    assert first["supervised_tokens"] == len(batch.supervised_slot)
    counts = {"control": int(batch.loss_mask[:3, 1:].sum()), "text": int(batch.loss_mask[3, 1:].sum())}
    mean = sum(first["dataset_loss"][name] * count for name, count in counts.items()) / sum(counts.values())
    assert first["loss"] == pytest.approx(mean)
    assert first["mfu"] is None
    assert result.record == {key: value for key, value in records[-1].items() if key != "kind"}
    assert len(log_of(settings.out, "validation")) == 1


def test_a_missing_validation_split_is_said(
    small_settings: Make, source: SyntheticSource, capsys: pytest.CaptureFixture[str]
) -> None:
    run(small_settings(steps=1, evaluate_every=1), source)
    assert "no evaluation: no dataset has a validation split" in capsys.readouterr().err
    run(small_settings("with", steps=1, evaluate_every=1), source, source)
    assert "no evaluation" not in capsys.readouterr().err


def test_accumulation_gives_the_same_losses(small_settings: Make, source: SyntheticSource) -> None:
    whole = run(small_settings("whole"), source, quiet=True)
    for micro in (1, 3):
        parts = run(small_settings(f"micro{micro}", micro_batch_size=micro), source, quiet=True)
        assert [loss for _, loss in parts.losses] == pytest.approx([loss for _, loss in whole.losses], rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"ema": 0.9, "clip": 0.5, "precision": "bf16"}])
def test_resumed_runs_equal_whole_runs_to_the_bit(
    options: dict[str, Any], small_settings: Make, source: SyntheticSource
) -> None:
    model = dataclasses.replace(small_settings().model, dropout=0.1)
    whole = small_settings("whole", model=model, **options)
    halves = small_settings("halves", model=model, **options)
    run(whole, source, quiet=True)
    run(dataclasses.replace(halves, stop_step=3), source, quiet=True)
    run(dataclasses.replace(halves, resume="yes"), source, quiet=True)
    checkpoints = [committed(out / "checkpoints")[-1] for out in (whole.out, halves.out)]
    assert [step for step, _ in checkpoints] == [6, 6]
    first, second = (load_file(next(path.glob("*.safetensors"))) for _, path in checkpoints)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [r["loss"] for r in log_of(whole.out)] == [r["loss"] for r in log_of(halves.out)]


def test_seeds_give_different_runs(small_settings: Make, source: SyntheticSource) -> None:
    settings = [small_settings(f"run{index}", seed=seed, steps=1) for index, seed in enumerate((0, 0, 1))]
    runs = [run(each, source, quiet=True) for each in settings]
    assert runs[0].losses == runs[1].losses
    assert runs[0].losses != runs[2].losses


def test_an_evaluation_does_not_count_as_training(small_settings: Make, source: SyntheticSource) -> None:
    seconds = 30.0

    @dataclass(frozen=True)
    class Slow(SyntheticSource):
        def batch(self, samples: range) -> Batch:
            clock.now += seconds
            return SyntheticSource.batch(self, samples)

    class Clock:
        now = 0.0

        def perf_counter(self) -> float:
            self.now += 1e-6
            return self.now

    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gato_trainer.run.training.time", clock)
        patch.setattr("gato_trainer.run.progress.time", clock)
        settings = small_settings(evaluate_every=3, evaluate_samples=4, log_every=4, steps=8)
        run(settings, source, Slow(**dataclasses.asdict(source)), quiet=True)
    records = log_of(settings.out)
    assert [record["step"] for record in records] == [1, 4, 8]
    assert all(record["seconds"] < 1 for record in records)
    ratios = [record["supervised_tokens_per_second"] / record["tokens_per_second"] for record in records[1:]]
    supervised = [
        record["supervised_tokens"] / (steps * 4 * 24) for record, steps in zip(records[1:], (3, 4), strict=True)
    ]
    assert ratios == pytest.approx(supervised)


def test_the_average_follows_and_is_exported(small_settings: Make, source: SyntheticSource) -> None:
    settings = small_settings(ema=0.5, steps=3, keep_checkpoints=9, checkpoint_every=1)
    run(settings, source, source, quiet=True)
    name = "norm.gain"
    stored = {
        step: load_file(next(path.glob("*.safetensors"))) for step, path in committed(settings.out / "checkpoints")
    }
    average = torch.ones(32)
    for step in (1, 2, 3):
        average = 0.5 * average + 0.5 * stored[step][f"model.{name}"]
        torch.testing.assert_close(stored[step][f"ema.{name}"], average)
    file = export(settings.out, settings.out.parent / "model.safetensors")
    assert torch.equal(load_file(file)[name], stored[3][f"ema.{name}"])


def test_fine_tuning_starts_from_a_run_or_an_export(small_settings: Make, source: SyntheticSource) -> None:
    first = small_settings("first")
    whole = run(first, source, quiet=True)
    file = export(first.out, first.out.parent / "model.safetensors")
    losses = []
    for name, start in (("from_run", first.out), ("from_file", file)):
        settings = small_settings(name, init_from=start, steps=1, seed=7)
        losses.append(run(settings, source, quiet=True).first_loss)
    assert losses[0] == losses[1]
    assert whole.first_loss is not None
    assert losses[0] is not None
    assert losses[0] < whole.first_loss - 0.3


def test_a_finished_run_has_nothing_left_to_do(small_settings: Make, source: SyntheticSource) -> None:
    settings = small_settings()
    first = run(settings, source, quiet=True)
    before = (settings.out / "log.jsonl").read_bytes()
    again = run(dataclasses.replace(settings, resume="yes"), source, quiet=True)
    assert again.record == first.record
    assert (again.step, again.last_loss) == (6, first.last_loss)
    assert (settings.out / "log.jsonl").read_bytes() == before


def test_folders_that_are_not_ours(small_settings: Make, source: SyntheticSource) -> None:
    settings = small_settings(steps=1)
    with pytest.raises(TrainError, match="nothing to resume"):
        run(dataclasses.replace(settings, resume="yes"), source, quiet=True)
    settings.out.mkdir()
    (settings.out / "thesis.tex").write_text("mine")
    with pytest.raises(OutputError, match="holds no run"):
        run(settings, source, quiet=True)
    (settings.out / "thesis.tex").unlink()
    run(settings, source, quiet=True)
    with pytest.raises(TrainError, match="--resume"):
        run(settings, source, quiet=True)
    assert run(dataclasses.replace(settings, overwrite=True), source, quiet=True).step == 1


@pytest.mark.parametrize(
    ("changes", "source_changes", "message"),
    [
        ({"batch_size": 8}, {}, "--batch-size was 4, now 8"),
        ({"seed": 1}, {}, "--seed was 0, now 1"),
        ({}, {"vocabulary_size": 1300}, "vocabulary_size was 1200, now 1300"),
        ({"context_length": 30}, {"context_length": 30}, "--context-length was 24, now 30"),
        ({"patch_position": "mean"}, {}, "--patch-position was sampled, now mean"),
        ({"positions": "rope"}, {}, "--positions was transformer-xl, now rope"),
        ({"width": 64, "blocks": 1}, {}, "--width was 32, now 64; --blocks was 2, now 1"),
    ],
)
def test_a_run_is_not_continued_as_another(
    changes: dict[str, Any],
    source_changes: dict[str, Any],
    message: str,
    small: ModelConfig,
    small_settings: Make,
    source: SyntheticSource,
) -> None:
    run(small_settings(steps=1), source, quiet=True)
    shape = {name: changes.pop(name) for name in ("positions", "patch_position", "width", "blocks") if name in changes}
    model = dataclasses.replace(small, **shape)
    settings = small_settings(resume="yes", model=model, **changes)
    with pytest.raises(TrainError, match=message):
        run(settings, dataclasses.replace(source, **source_changes), quiet=True)


def test_the_reader_must_make_windows_of_the_context_length(small_settings: Make, source: SyntheticSource) -> None:
    with pytest.raises(TrainError, match="context length 24, the run wants 32"):
        run(small_settings(context_length=32), source, quiet=True)


def test_a_profile_is_written(
    small_settings: Make, source: SyntheticSource, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = small_settings(steps=7, profile=True)
    run(settings, source)
    assert "profile" not in capsys.readouterr().err
    assert "aten::mm" in (settings.out / "profile" / "table.txt").read_text()
    assert json.loads((settings.out / "profile" / "trace.json").read_text())["traceEvents"]
    run(small_settings("short", steps=2, profile=True), source)
    assert "no profile was written" in capsys.readouterr().err
    assert not (settings.out.parent / "short" / "profile").exists()
