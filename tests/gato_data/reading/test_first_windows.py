"""An evaluation's windows: so many of every dataset, whatever its weight."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from gato_data.errors import SettingError
from gato_data.mixing.make import plan_mixture
from gato_data.reading.first_windows import FirstWindows
from gato_data.reading.reader import ReadSettings, open_mixture
from gato_data.reading.sampler import Stage
from gato_schemas.mixture import encode_mixture
from tests.gato_data.reading.folders import episodes, write_dataset

SETTINGS = ReadSettings(context_length=40)


def test_every_dataset_is_drawn_as_often() -> None:
    first = FirstWindows.of(Stage(0, (3.0, 0.0, 1.0, 1e-9)), np.array([100, 7, 2, 50]), each=5)
    assert first.windows == (5, 0, 2, 5)
    assert first.total == 12
    assert first.shares == pytest.approx((0.75, 0, 0.25, 0.25e-9))
    dataset, draw = first.draw(np.arange(12))
    assert dataset.tolist() == [0] * 5 + [2] * 2 + [3] * 5
    assert draw.tolist() == [0, 1, 2, 3, 4, 0, 1, 0, 1, 2, 3, 4]
    assert [first.counts(samples) for samples in (0, 6, 12)] == [[0, 0, 0, 0], [5, 0, 1, 0], [5, 0, 2, 5]]
    with pytest.raises(SettingError, match="sample 12 does not exist: 12 windows are drawn in all"):
        first.draw(np.array([3, 12]))
    with pytest.raises(SettingError, match="the first 0 windows of every dataset are none"):
        FirstWindows.of(Stage(0, (1.0,)), np.array([3]), each=0)


def test_they_are_the_windows_that_weights_draw_first(tmp_path: Path) -> None:
    """Of datasets a thousandfold apart, with prompts; one of them has no validation split."""
    pong, walker = episodes("pong", [30, 25], seed=1), episodes("walker", [30, 9, 4], seed=2)
    write_dataset(tmp_path / "pong", {"train": [pong], "validation": [pong]})
    write_dataset(tmp_path / "walker", {"train": [walker], "validation": [walker]})
    write_dataset(tmp_path / "told", {"train": [episodes("told", [20, 9], seed=3)]})
    names = ["pong", "told", "walker"]
    path = tmp_path / "mixture.json"
    weights = "pong=1000,told=500,walker=1"
    path.write_bytes(encode_mixture(plan_mixture([tmp_path / name for name in names], weights, folder=tmp_path)))
    with (
        closing(open_mixture(path, split="validation", settings=SETTINGS, each=4)) as even,
        closing(open_mixture(path, split="validation", settings=SETTINGS)) as weighed,
    ):
        first = even.first_windows
        assert first is not None
        assert weighed.first_windows is None
        assert first.windows == (4, 0, 4)
        assert first.shares == pytest.approx((1000 / 1001, 0, 1 / 1001))
        assert even.fingerprint != weighed.fingerprint
        batch = even.batch(range(first.total))
        assert batch.dataset.tolist() == [0] * 4 + [2] * 4
        dataset, draw = weighed.planner.sampler.draw(np.arange(6000))
        for row, (number, window) in enumerate([(name, draw) for name in (0, 2) for draw in range(4)]):
            [sample] = np.flatnonzero((dataset == number) & (draw == window))
            alone = weighed.batch(range(sample, sample + 1))
            assert np.array_equal(batch.tokens[row], alone.tokens[0])
            assert np.array_equal(batch.loss_mask[row], alone.loss_mask[0])
        with pytest.raises(SettingError, match="sample 8 does not exist"):
            even.batch(range(8, 9))
