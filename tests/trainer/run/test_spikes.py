"""Windows far above what is usual are left out: the same ones for any micro-batches and processes, and when resumed."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gato_data.reading.batch import Batch
from gato_trainer.checkpoints.header import read_header
from gato_trainer.checkpoints.saving import committed
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.data.inputs import prepare
from gato_trainer.run import spikes
from gato_trainer.run.spikes import Spikes
from gato_trainer.run.train import run
from gato_trainer.world import World
from tests.trainer.conftest import SMALL
from tests.trainer.synthetic import SyntheticSource

Make = Callable[..., TrainSettings]
ALONE = World(0, 1, torch.device("cpu"))
ODD = (47, 59)
"""Samples of text, in steps 12 and 15 of four windows, that are like no other."""
OPTIONS: dict[str, Any] = {
    "steps": 18,
    "skip_spikes": 0.7,
    "model": dataclasses.replace(SMALL, stochastic_depth=0.0),
}


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spikes, "JUDGED_FROM", 8)


@pytest.fixture
def spiky(source: SyntheticSource) -> SyntheticSource:
    return dataclasses.replace(source, odd=ODD)


def skipped(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "skipped"]


def parameters(out: Path) -> dict[str, torch.Tensor]:
    return load_file(next(committed(out / "checkpoints")[-1][1].glob("*.safetensors")))


def judged(made: Spikes, losses: list[float], source: SyntheticSource, config: ModelConfig) -> list[float]:
    """What is left of each of so many windows of text, all of whose tokens have that loss."""
    inputs = prepare(source.batch(range(len(losses))), config, None)
    window = inputs.targets.rows // source.context_length
    kept = made.judge(0, range(len(losses)), inputs, torch.tensor(losses)[window])
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.grad = torch.ones(1, 1)
    made.end_step(model, len(kept))
    assert float(model.weight.grad) == pytest.approx(len(kept) / max(float(kept.sum()), 1))
    return [float(kept[window == number].min()) for number in range(len(losses))]


def test_what_is_usual_is_learnt_of_each_dataset(small: ModelConfig, source: SyntheticSource) -> None:
    text = dataclasses.replace(source, text_every=1)
    made = Spikes(3.0, source.dataset_names, ALONE, {})
    for number in range(spikes.JUDGED_FROM // 4):  # nothing is judged by few windows
        assert judged(made, [1.0, 3.0, 1.0, 3.0 if number else 50.0], text, small) == [1.0] * 4
    count, mean, variance = made.state()["text"]
    assert count == spikes.JUDGED_FROM
    losses = [1.0, 3.0, 1.0, 50.0] + [1.0, 3.0, 1.0, 3.0] * (spikes.JUDGED_FROM // 4 - 1)
    assert mean == pytest.approx(sum(losses) / 64)
    assert variance == pytest.approx(sum((loss - mean) ** 2 for loss in losses) / 64)
    limit = mean + 3 * math.sqrt(variance)
    assert judged(made, [2.0, limit + 0.1, limit - 0.1, 900.0], text, small) == [1.0, 0.0, 1.0, 0.0]
    assert [(spike.sample, spike.dataset) for spike in made.take()] == [(1, 1), (3, 1)]
    assert made.take() == []
    again = Spikes(3.0, ("new", *source.dataset_names), ALONE, made.state())
    assert again.state() == made.state()
    assert {*again.state()} == {"text"}


def test_losses_that_rise_for_good_are_let_in_again(small: ModelConfig, source: SyntheticSource) -> None:
    text = dataclasses.replace(source, text_every=1)
    made = Spikes(3.0, source.dataset_names, ALONE, {"text": (1000.0, 1.0, 0.01)})
    steps = 0
    while judged(made, [5.0] * 8, text, small) == [0.0] * 8:
        steps += 1
    assert 1 < steps < 100


def test_a_loss_that_is_not_finite_is_no_spike(small: ModelConfig, source: SyntheticSource) -> None:
    text = dataclasses.replace(source, text_every=1)
    made = Spikes(3.0, source.dataset_names, ALONE, {"text": (1000.0, 1.0, 0.01)})
    assert judged(made, [1.0, math.inf, math.nan], text, small) == [1.0] * 3
    assert made.state()["text"][1] == pytest.approx(1.0)


@pytest.mark.usefixtures("soon")
def test_a_step_without_a_window_is_as_if_it_had_no_target(
    small_settings: Make, spiky: SyntheticSource, capsys: pytest.CaptureFixture[str]
) -> None:
    @dataclasses.dataclass(frozen=True)
    class Silent(SyntheticSource):
        def batch(self, samples: range) -> Batch:
            made = SyntheticSource.batch(self, samples)
            counts = np.array([sample not in self.odd for sample in samples])
            kept = counts[made.supervised_slot // self.context_length]
            return dataclasses.replace(made, supervised_slot=made.supervised_slot[kept])

    settings = small_settings("left_out", **OPTIONS)
    result = run(settings, spiky)
    found = skipped(settings.out)
    assert [(line["step"], line["reason"]) for line in found] == [(12, "skip_spikes"), (15, "skip_spikes")]
    windows = [window for line in found for window in line["windows"]]
    assert [(window["sample"], window["dataset"]) for window in windows] == [(47, "text"), (59, "text")]
    assert all(window["loss"] > window["limit"] for window in windows)
    said = capsys.readouterr().err
    assert "step 12: a window is left out, 0.7 deviations above what is usual: text, sample 47 (loss " in said
    assert said.count(" | 1 window left out") == 2
    assert result.windows_left_out == 2
    assert "2 windows were left out: log.jsonl describes them" in result.lines()
    silent = small_settings("silent", **{**OPTIONS, "skip_spikes": 0.0})
    expected = run(silent, Silent(**dataclasses.asdict(spiky)), quiet=True)
    assert [loss for _, loss in result.losses] == pytest.approx([loss for _, loss in expected.losses], rel=1e-5)
    first, second = parameters(settings.out), parameters(silent.out)
    # A bias in front of a normalisation has no gradient but rounding, of which AdamW makes whole steps.
    assert all(torch.allclose(first[name], second[name], rtol=1e-4, atol=1e-5) for name in first)


@pytest.mark.usefixtures("soon")
def test_micro_batches_and_resuming_leave_out_the_same(small_settings: Make, spiky: SyntheticSource) -> None:
    whole, parts = small_settings("whole", **OPTIONS), small_settings("parts", **OPTIONS, micro_batch_size=1)
    halves = small_settings("halves", **OPTIONS, log_every=5)
    expected = run(whole, spiky, quiet=True)
    split = run(parts, spiky, quiet=True)
    run(dataclasses.replace(halves, stop_step=13), spiky, quiet=True)
    usual = read_header(committed(halves.out / "checkpoints")[-1][1]).usual_loss
    assert {name: found[0] for name, found in usual.items()} == {"control": 39, "text": 13}
    run(dataclasses.replace(halves, resume="yes"), spiky, quiet=True)
    assert [loss for _, loss in split.losses] == pytest.approx([loss for _, loss in expected.losses], rel=1e-5)
    assert skipped(halves.out) == skipped(whole.out)
    first, second = parameters(whole.out), parameters(halves.out)
    assert all(torch.equal(first[name], second[name]) for name in first)
    samples = [[w["sample"] for line in skipped(each.out) for w in line["windows"]] for each in (whole, parts)]
    assert samples[0] == samples[1] == list(ODD)
