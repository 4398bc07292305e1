"""The trainer on real dataset folders, through the reader."""

import dataclasses
import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gato_data.errors import FormatError, MixtureError, TrainError
from gato_data.mixing.make import plan_mixture
from gato_schemas.mixture import encode_mixture
from gato_trainer import training
from gato_trainer.batches import open_sources, passes
from gato_trainer.checkpoint import committed
from gato_trainer.config import TrainSettings
from gato_trainer.train import dry_run, train
from tests.gato_data.reading.folders import episodes, write_dataset

Make = Callable[..., TrainSettings]
WEIGHTS = "pong=2,told=1,captions=1"


def mix(folder: Path, weights: str = WEIGHTS) -> Path:
    names = [pair.split("=")[0] for pair in weights.split(",")]
    path = folder / "mixture.json"
    path.write_bytes(encode_mixture(plan_mixture([folder / name for name in names], weights, folder=folder)))
    return path


@pytest.fixture
def mixture(tmp_path: Path) -> Path:
    pong, told = episodes("pong", [30, 25], seed=1), episodes("told", [20, 9], seed=2)
    write_dataset(tmp_path / "pong", {"train": [pong[:1], pong[1:]], "validation": [pong[:1]]}, chunk_tokens=100)
    write_dataset(tmp_path / "told", {"train": [told]})
    write_dataset(tmp_path / "captions", {"train": [episodes("captions", [30, 50, 9], seed=3)]})
    return mix(tmp_path)


def settings_for(small_settings: Make, name: str = "run", **options: object) -> TrainSettings:
    settings = small_settings(name, **{"batch_size": 8, "context_length": 40, **options})
    return dataclasses.replace(settings, model=dataclasses.replace(settings.model, vocabulary_size=33025))


def test_a_loss_that_is_not_finite_names_the_episodes(
    mixture: Path, small_settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "learning_rate", lambda step, settings: 1e30)
    settings = settings_for(small_settings)
    with pytest.raises(TrainError, match="is not finite; its windows are described in"):
        train(mixture, settings, quiet=True)
    dump = json.loads(next(settings.out.glob("nonfinite-step-*.json")).read_text())
    named = {(window["dataset"], piece["episode_id"]) for window in dump["windows"] for piece in window["pieces"]}
    assert len(dump["windows"]) == settings.batch_size
    assert {dataset for dataset, _ in named} == {window["dataset"] for window in dump["windows"]}
    assert all(episode for _, episode in named)


def test_a_mixture_is_trained_on_and_resumed_to_the_bit(mixture: Path, small_settings: Make) -> None:
    whole, halves = settings_for(small_settings, "whole"), settings_for(small_settings, "halves", stop_step=2)
    result = train(mixture, whole, quiet=True)
    train(mixture, halves, quiet=True)
    train(mixture, dataclasses.replace(halves, stop_step=None, resume=True), quiet=True)
    assert {*result.record["dataset_loss"]} == {"pong", "told", "captions"}
    assert {*result.record["modality_loss"]} == {"text", "discrete"}
    assert result.last_loss is not None
    assert result.first_loss is not None
    assert result.last_loss < result.first_loss
    assert result.validation is not None
    assert {*result.validation["dataset_loss"]} == {"pong"}
    first, second = (
        load_file(next(committed(settings.out / "checkpoints")[-1][1].glob("*.safetensors")))
        for settings in (whole, halves)
    )
    assert first["model.embedding.table"].shape == (33025, 32)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_packed_windows_train_with_any_micro_batch(tmp_path: Path, small_settings: Make) -> None:
    short = episodes("pong", [5, 6, 7, 8, 9, 10], seed=1)
    write_dataset(tmp_path / "short", {"train": [short], "validation": [short[:2]]})
    mixture = mix(tmp_path, "short=1")
    with closing(open_sources(mixture, 120, 0, pack=True)[0]) as source:  # type: ignore[type-var]
        segment = source.batch(range(8)).segment
    assert segment is not None
    assert segment.max() >= 1
    runs = []
    for micro in (None, 3):
        settings = settings_for(small_settings, f"micro{micro}", micro_batch_size=micro, context_length=120, steps=3)
        runs.append(train(mixture, settings, quiet=True, pack=True).losses)
    assert [loss for _, loss in runs[0]] == pytest.approx([loss for _, loss in runs[1]], rel=1e-5)


def test_the_plan_tells_the_passes(mixture: Path, small_settings: Make) -> None:
    settings = settings_for(small_settings, steps=100)
    made = dry_run(mixture, settings)
    source, validation = open_sources(mixture, 40, 0)
    assert validation is not None
    assert made.passes == passes(source, 800)
    windows = dict(zip(source.dataset_names, source.dataset_windows, strict=True))
    assert made.passes["pong"] == pytest.approx(400 / windows["pong"])
    assert made.passes["told"] == pytest.approx(200 / windows["told"])
    assert not settings.out.exists()


def test_another_mixture_does_not_continue_a_run(mixture: Path, small_settings: Make) -> None:
    settings = settings_for(small_settings, stop_step=1)
    train(mixture, settings, quiet=True)
    mix(mixture.parent, "pong=1,told=1,captions=1")
    with pytest.raises(MixtureError, match="weights"):
        train(mixture, dataclasses.replace(settings, resume=True), quiet=True)


def test_a_shard_that_is_cut_under_a_run(mixture: Path, small_settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from gato_trainer import training

    settings = settings_for(small_settings, steps=400)
    step = training.Training._after_step

    def cut(self: training.Training, *arguments: object) -> None:
        step(self, *arguments)  # type: ignore[arg-type]
        if self.progress.step == 2:
            for shard in (mixture.parent / "pong").glob("pong-train*-of-*"):
                if not shard.name.endswith(".index"):
                    os.truncate(shard, 64)

    monkeypatch.setattr(training.Training, "_after_step", cut)
    with pytest.raises(FormatError, match="pong-train"):
        train(mixture, settings, quiet=True)
    assert committed(settings.out / "checkpoints")[-1][0] >= 2
