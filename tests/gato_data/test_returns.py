"""Expert return and the filter of the paper's section 3.1."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.returns import episode_return, expert_return, threshold, window

returns = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=200)


@pytest.mark.parametrize(
    ("episodes", "expected"), [(1, 1), (9, 1), (10, 1), (19, 1), (20, 2), (9_999, 999), (10_000, 1000), (10**6, 1000)]
)
def test_the_window_is_a_tenth_at_least_one_at_most_a_thousand(episodes: int, expected: int) -> None:
    assert window(episodes) == expected


def test_golden_values() -> None:
    assert expert_return(np.array([3.0, 1.0, 2.0])) == 3.0
    rising = np.arange(20.0)  # W = 2
    assert expert_return(rising) == 18.5
    spike = np.zeros(40)  # W = 4: one lucky episode is no expert
    spike[7] = 100
    assert expert_return(spike) == 25.0


@given(returns)
def test_it_is_the_highest_mean_of_a_window(values: list[float]) -> None:
    array, width = np.array(values), window(len(values))
    means = [array[j : j + width].mean() for j in range(len(array) - width + 1)]
    assert expert_return(array) == pytest.approx(max(means), rel=1e-6, abs=1e-4)


@given(returns, st.floats(0, 1))
def test_some_episode_always_passes(values: list[float], fraction: float) -> None:
    array = np.array(values)
    assert (array >= threshold(expert_return(array), fraction)).any()


@pytest.mark.parametrize(
    ("expert", "fraction", "expected"),
    [(100, 0.8, 80), (-100, 0.8, -120), (0, 0.8, 0), (100, 1, 100), (-100, 1, -100), (100, 0, 0), (-100, 0, -200)],
)
def test_the_same_distance_below_a_negative_expert(expert: float, fraction: float, expected: float) -> None:
    assert threshold(expert, fraction) == pytest.approx(expected)


def test_rewards_are_added_as_float64() -> None:
    reward = np.full(10_000_001, 0.1, np.float32)
    assert episode_return(reward) == pytest.approx(10_000_001 * float(np.float32(0.1)), rel=1e-12)
