"""Figures of a few episodes, beside those of textbooks."""

import numpy as np
import pytest

from gato_pipelines.rollout.statistics import estimate, is_better, normalised, rate


def test_mean_and_standard_error() -> None:
    found = estimate(np.array([2.0, 4, 4, 4, 5, 5, 7, 9]))
    assert found.value == 5
    assert found.error == pytest.approx(2.138 / np.sqrt(8), abs=1e-3)
    assert estimate(np.array([3.0])).error is None


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [  # statsmodels' proportion_confint(method="wilson")
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (8, 10, 0.4902, 0.9433),
        (199, 200, 0.9722, 0.9991),
    ],
)
def test_the_interval_of_wilson(hits: int, of: int, low: float, high: float) -> None:
    found = rate(hits, of)
    assert (found.value, found.low, found.high) == pytest.approx((hits / of, low, high), abs=1e-4)


def test_a_score_between_chance_and_an_expert() -> None:
    random, expert = np.array([0.0, 2, 4]), np.array([10.0, 12, 14])
    assert normalised(random, random, expert) == pytest.approx(estimate(np.zeros(3)))
    exact = normalised(random + 5, random, expert)
    assert (exact.value, exact.error) == (0.5, 0)
    spread = normalised(np.array([0.0, 7, 14]), random, expert)
    assert spread.value == 0.5
    assert spread.error == pytest.approx(np.std([-5, 0, 5], ddof=1) / np.sqrt(3) / 10)


def test_the_error_of_a_score_is_that_of_many_repetitions() -> None:
    rng = np.random.default_rng(0)
    scores, errors = [], []
    for _ in range(400):
        level = rng.normal(0, 3, 30)
        random, expert = level + rng.normal(0, 1, 30), level + rng.normal(20, 2, 30)
        found = normalised(level + rng.normal(12, 5, 30), random, expert)
        scores.append(found.value)
        errors.append(found.error)
    assert np.mean(errors) == pytest.approx(np.std(scores), rel=0.15)


@pytest.mark.parametrize(
    ("expert", "better"),
    [([1.0, 1, 1, 1], True), ([0.0, 0, 0, 0], False), ([-1.0, 0, 0, 0], False), ([9, 0, 0, 0], False)],
)
def test_whether_an_expert_is_better_than_chance(expert: list[float], better: bool) -> None:
    assert is_better(np.array(expert, np.float64), np.zeros(4)) is better
