"""Nothing that happened in an episode is missing from its curves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gato_data.report.dataset import summarize_dataset
from gato_data.report.html.content import dataset_content
from gato_data.report.html.curves import EVENTS, POINTS, draw_rewards, stretches
from gato_data.report.html.packed import Columns
from gato_data.report.quality import Thresholds, judge
from tests.gato_data.report.html.unpacking import Unpacked, columns


def test_curves_are_the_decoded_actions_and_the_states_that_change(told: Path) -> None:
    summary = summarize_dataset(told)
    content = dataset_content(summary, judge(summary, Thresholds()), 24)
    episode = content["episodes"][1]
    found = Unpacked(episode)
    names = [name for name, _ in episode["elements"]]
    assert names == ["action/arm[0]", "action/arm[1]", "action/button", "observation/gripper", "observation/pose[0]"]
    assert episode["undrawn"] == {"actions": 0, "states": 0, "constant": 1}

    def drawn(name: str) -> list[float]:
        number = names.index(name)
        table = content["tables"][episode["elements"][number][1]]
        assert found.low is not None
        return [float(table[str(token)]) for token in found.low[number]]

    assert drawn("action/arm[1]") == pytest.approx([-1, 0, 1, 2], abs=3 / 1024)
    assert drawn("action/button") == [3, 4, 3, 4]
    assert drawn("observation/gripper") == [0, 1, 0, 1]
    assert drawn("observation/pose[0]") == pytest.approx([1, 1.1, 1.2, 1.3], rel=0.02)
    assert episode["rewards"] == {"events": 3, "told": 3}
    assert found.events.tolist() == [1, 2, 3]


@pytest.mark.parametrize("steps", [1, 2, 299, 300, 301, 599, 600, 3943, 100_000])
def test_stretches_have_every_lowest_and_highest_value(steps: int) -> None:
    values = np.random.default_rng(steps).normal(size=(2, steps))
    low, high = stretches(values)
    points = min(steps, POINTS)
    assert low.shape == high.shape == (2, points)
    for number in range(points):
        part = values[:, number * steps // points : (number + 1) * steps // points]
        np.testing.assert_array_equal(low[:, number], part.min(axis=1))
        np.testing.assert_array_equal(high[:, number], part.max(axis=1))


def test_every_point_of_a_long_game_is_an_event() -> None:
    reward = np.zeros(3943, np.float32)
    reward[np.linspace(60, 3900, 21).astype(int)] = -1
    reward[2000] = 1
    gathered = Columns()
    assert draw_rewards(reward, gathered) == {"events": 22, "told": 22}
    parts = columns(gathered.encoded())
    times = np.cumsum(parts[600:622], dtype=np.uint32)
    np.testing.assert_array_equal(times, np.flatnonzero(reward))
    least = np.cumsum(parts[:300], dtype=np.uint32).view(np.float32)
    assert np.count_nonzero(least) == 21


@pytest.mark.parametrize(
    ("reward", "told"),
    [
        (np.ones(3 * EVENTS, np.float32), {"events": 3 * EVENTS, "told": EVENTS}),
        (np.zeros(5, np.float32), {"events": 0, "told": 0}),
        (np.array([0, np.nan], np.float32), None),
        (np.zeros(0, np.float32), None),
    ],
)
def test_rewards_that_are_many_none_or_unknown(reward: Any, told: Any) -> None:
    assert draw_rewards(reward, Columns()) == told
