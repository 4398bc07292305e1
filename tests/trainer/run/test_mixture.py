"""The trainer on real dataset folders, through the reader."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import load_file

from gato_data.errors import FormatError, MixtureError, TrainError
from gato_data.mixing.make import add_stage, plan_mixture
from gato_data.shards.checked import CHECKED, Verify
from gato_schemas.mixture import encode_mixture, read_mixture
from gato_trainer.checkpoints.header import read_header
from gato_trainer.checkpoints.saving import committed
from gato_trainer.config import TrainSettings
from gato_trainer.data.batches import open_sources, passes
from gato_trainer.run import training
from gato_trainer.run.train import dry_run, train
from tests.gato_data.reading.folders import episodes, unsupervised, write_dataset

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


def test_steps_that_are_left_out_are_told_by_episode(
    mixture: Path, small_settings: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(small_settings, skip_steps="2", steps=2)
    train(mixture, settings)
    said = "step 2: its 8 windows of captions, pong, told are left out, as --skip-steps 2 says"
    assert said in capsys.readouterr().err.splitlines()
    lines = [json.loads(line) for line in (settings.out / "log.jsonl").read_text().splitlines()]
    [skipped] = [line for line in lines if line["kind"] == "skipped"]
    assert [window["sample"] for window in skipped["windows"]] == [*range(8, 16)]
    assert {window["dataset"] for window in skipped["windows"]} == {"captions", "pong", "told"}
    pieces = [piece for window in skipped["windows"] for piece in window["pieces"]]
    assert all(piece["episode_id"] and piece["tokens"][0] >= 0 for piece in pieces)


def test_a_mixture_is_trained_on_and_resumed_to_the_bit(mixture: Path, small_settings: Make) -> None:
    whole, halves = settings_for(small_settings, "whole"), settings_for(small_settings, "halves", stop_step=2)
    result = train(mixture, whole, quiet=True)
    train(mixture, halves, quiet=True)
    train(mixture, dataclasses.replace(halves, stop_step=None, resume="yes"), quiet=True)
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
        train(mixture, dataclasses.replace(settings, resume="yes"), quiet=True)


@pytest.mark.parametrize("verify", get_args(Verify))
def test_what_is_checked_is_said(
    verify: Verify, mixture: Path, small_settings: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    train(mixture, settings_for(small_settings, steps=1), verify=verify)
    assert f"checked while the data are read, --verify {verify}: {CHECKED[verify]}" in capsys.readouterr().err


def test_another_content_does_not_continue_a_run(mixture: Path, small_settings: Make) -> None:
    """The same name, size and counts, other frames; whether it was drawn before does not matter."""
    settings = settings_for(small_settings, stop_step=1)
    train(mixture, settings, quiet=True)
    shutil.rmtree(mixture.parent / "pong")
    pong = episodes("pong", [30, 25], seed=5)
    folder = mixture.parent / "pong"
    write_dataset(
        folder,
        {"train": [pong[:1], pong[1:]], "validation": [pong[:1]]},
        chunk_tokens=100,
        fingerprint="fedcba9876543210",
    )
    mix(mixture.parent)
    resumed = dataclasses.replace(settings, resume="yes", stop_step=2)
    path = settings.out / "checkpoints" / "step-00000001"
    with pytest.raises(MixtureError, match=rf"dataset pong is not what it was when {path} was written \(its content "):
        train(mixture, resumed, quiet=True)


def test_a_longer_mixture_continues_a_run(mixture: Path, small_settings: Make) -> None:
    settings = settings_for(small_settings, stop_step=1)
    train(mixture, settings, quiet=True)
    write_dataset(mixture.parent / "walker", {"train": [episodes("walker", [30, 9])]})
    longer = add_stage(read_mixture(mixture), mixture, 16, [mixture.parent / "walker"], f"{WEIGHTS},walker=9")
    mixture.write_bytes(encode_mixture(longer))
    resumed = train(mixture, dataclasses.replace(settings, resume="yes", stop_step=4), quiet=True)
    assert resumed.step == 4
    assert "walker" in resumed.record["dataset_loss"]
    header = read_header(committed(settings.out / "checkpoints")[-1][1])
    assert [*header.datasets] == ["pong", "told", "captions", "walker"]
    assert all(header.datasets.values())
    assert header.vocabulary == longer.vocabulary


def test_a_context_that_is_too_short_is_said(
    mixture: Path, small_settings: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(small_settings, context_length=7, steps=2)
    warning = "Warning: no whole timestep of pong (8 tokens in task 'pong') fits a context of 7 tokens: "
    train(mixture, settings)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Warning: ")]
    assert len(said) == 2  # told's too
    assert said[0].startswith(warning)
    made = dry_run(mixture, settings)
    assert made.lines()[-2].startswith(warning)
    assert [f"Warning: {text}" for text in made.to_json()["warnings"]] == said


def test_a_run_without_a_supervised_token_is_refused(mixture: Path, small_settings: Make, tmp_path: Path) -> None:
    silent = [dataclasses.replace(made, sequence=unsupervised(made.sequence)) for made in episodes("walker", [40, 9])]
    write_dataset(tmp_path / "silent", {"train": [silent]})
    nothing = mix(tmp_path, "silent=1")
    settings = settings_for(small_settings)
    message = "none of its 48 windows of 40 tokens holds a token under the loss mask, since no token of its datasets is"
    for begin in (train, dry_run):
        with pytest.raises(TrainError, match=message):
            begin(nothing, settings)  # type: ignore[operator]
    assert not settings.out.exists()
    short = settings_for(small_settings, context_length=2, steps=1, batch_size=1, seed=1)
    with pytest.raises(
        TrainError, match=r"none of its 1 window of 2 tokens .* since no whole timestep of pong \(8 tok"
    ):
        train(mix(tmp_path, "pong=1"), short, prompt_share=0.0)
    assert not settings.out.exists()


def test_a_shard_that_is_cut_under_a_run(mixture: Path, small_settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from gato_trainer.run import training

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
