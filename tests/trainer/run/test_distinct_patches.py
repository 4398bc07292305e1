"""Whole runs with each distinct patch embedded once, beside the same runs with every patch embedded by itself."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from gato_trainer.config import TrainSettings
from gato_trainer.kernels import reference
from gato_trainer.run.train import run
from tests.trainer.synthetic import SyntheticSource
from tests.trainer.test_world import run_processes

Make = Callable[..., TrainSettings]
ONCE = SyntheticSource(context_length=24, vocabulary_size=1200, patches=4, windows=8)
EACH = dataclasses.replace(ONCE, merged=False)


@pytest.fixture
def losses(small_settings: Make) -> Callable[..., dict[int, float]]:
    def train(source: SyntheticSource, name: str, **options: Any) -> dict[int, float]:
        return dict(run(small_settings(name, **{"clip": 1.0, **options}), source, quiet=True).losses)

    return train


def test_the_two_differ_in_what_they_embed() -> None:
    once, each = ONCE.batch(range(8)), EACH.batch(range(8))
    assert (once.patches == each.patches).all()
    assert once.num_distinct < each.num_distinct / 3


@pytest.mark.parametrize("options", [{}, {"micro_batch_size": 1}, {"micro_batch_size": 3}], ids=str)
def test_losses_are_those_of_every_patch(options: dict[str, Any], losses: Callable[..., dict[int, float]]) -> None:
    once, each = (losses(source, f"merged-{source.merged}", **options) for source in (ONCE, EACH))
    assert len(each) == 6
    assert once == pytest.approx(each, rel=1e-6)


def test_logits_that_are_computed_again(
    losses: Callable[..., dict[int, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    each = losses(EACH, "each")
    monkeypatch.setattr(reference, "LOGIT_ROWS", 8)
    assert losses(ONCE, "once") == pytest.approx(each, rel=1e-6)


def test_a_run_goes_on_either_way(losses: Callable[..., dict[int, float]]) -> None:
    each = losses(EACH, "each")
    begun = losses(EACH, "once", stop_step=3)
    rest = losses(ONCE, "once", resume="yes")
    assert {**begun, **rest} == pytest.approx(each, rel=1e-6)


def test_the_same_run_gives_the_same_bits(losses: Callable[..., dict[int, float]]) -> None:
    assert losses(ONCE, "one") == losses(ONCE, "other")


def test_processes_have_distinct_patches_of_their_own(small_settings: Make) -> None:
    def train(source: SyntheticSource, name: str) -> dict[int, float]:
        settings = small_settings(name)
        options = {"steps": 4, "batch_size": 5, "context_length": 24, "log_every": 1, "out": str(settings.out)}
        model, content = dataclasses.asdict(settings.model), dataclasses.asdict(source)
        return dict(run_processes({"settings": options, "model": model, "source": content}, 2)["losses"])

    each = train(EACH, "each")
    assert len(each) == 4
    assert train(ONCE, "once") == pytest.approx(each, rel=1e-6)
