from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.model.optimizer import learning_rate, make_optimizer
from gato_trainer.model.transformer import Gato
from gato_trainer.presets import PRESETS, train_settings


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 1e-7), (7_500, 5.005e-5), (15_000, 1e-4), (507_500, 5.5e-5), (1_000_000, 1e-5), (1_200_000, 1e-5)],
)
def test_reference_points_of_the_paper_schedule(step: int, rate: float) -> None:
    assert learning_rate(step, train_settings("79m", Path("run"))) == pytest.approx(rate, rel=1e-9)


@pytest.mark.parametrize(("model", "peak"), [("79m", 1e-4), ("364m", 2e-4), ("1.2b", 1e-4)])
def test_peaks_of_the_sizes(model: str, peak: float) -> None:
    settings = train_settings(model, Path("run"))
    assert (settings.steps, settings.batch_size, settings.context_length) == (1_000_000, 512, 1024)
    assert settings.warmup_steps == 15_000
    assert learning_rate(15_000, settings) == peak
    assert PRESETS[model].learning_rate == peak


def test_a_short_run_warms_up_for_a_tenth() -> None:
    assert train_settings("tiny", Path("run"), steps=50).warmup_steps == 5


def test_fine_tuning_is_the_papers() -> None:
    settings = train_settings("364m", Path("run"), fine_tune=True)
    assert [learning_rate(step, settings) for step in (0, 9_999)] == [1e-5, 1e-5]
    assert (settings.steps, settings.batch_size, settings.context_length) == (10_000, 64, 1024)
    assert (settings.model.dropout, settings.model.stochastic_depth, settings.weight_decay) == (0.1, 0.0, 0.0)
    assert train_settings("364m", Path("run"), fine_tune=True, batch_size=8).batch_size == 8


def test_weight_decay_spares_gains_and_biases(
    small: ModelConfig, build: Callable[..., Gato], small_settings: Callable[..., TrainSettings]
) -> None:
    model = build(small)
    decayed, plain = make_optimizer(model, small_settings(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    names = {id(parameter): name.rsplit(".", 1)[-1] for name, parameter in model.named_parameters()}
    spared = {names[id(parameter)] for parameter in plain["params"]}
    assert spared == {"gain", "bias", "up_bias", "content_bias", "distance_bias", "weight"}
    assert len(decayed["params"]) + len(plain["params"]) == len(list(model.parameters()))
    assert decayed["betas"] == (0.9, 0.95)
    assert decayed["eps"] == 1e-8


def test_the_first_step_moves_by_the_first_rate(small: ModelConfig, build: Callable[..., Gato]) -> None:
    model = build(small)
    settings = train_settings("tiny", Path("run"), weight_decay=0.0)
    optimizer = make_optimizer(model, settings)
    before = model.norm.gain.detach().clone()
    model.norm.gain.grad = torch.full_like(before, 3.0)
    optimizer.step()
    torch.testing.assert_close(model.norm.gain, before - settings.learning_rate)
