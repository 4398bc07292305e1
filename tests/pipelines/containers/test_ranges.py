"""A file of many episodes comes in ranges that cover it once."""

from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

from gato_pipelines.containers import ranges
from gato_pipelines.containers.container import Container
from gato_pipelines.containers.detect import open_container
from gato_pipelines.containers.ranges import RANGE_BYTES, RANGE_EPISODES, episode_ranges

DATA = Path(__file__).parents[2] / "data"


@pytest.mark.parametrize(
    ("size", "num_episodes", "wanted"),
    [
        (1000, 4, 1),
        (RANGE_BYTES, 4, 1),
        (RANGE_BYTES + 1, 4, 2),
        (10 * RANGE_BYTES, 4, 4),
        (1000, RANGE_EPISODES + 1, 2),
        (0, 0, 1),
        (10 * RANGE_BYTES, 0, 1),
    ],
)
def test_ranges_cover_a_file_once(size: int, num_episodes: int, wanted: int) -> None:
    found = episode_ranges("a.hdf5", size, num_episodes)
    assert len(found) == wanted
    assert {(file.name, file.size) for file in found} == {("a.hdf5", size)}
    assert found[0].first == 0
    assert all(after.first == file.first + (file.num_episodes or 0) for file, after in pairwise(found))
    assert sum(file.num_episodes or 0 for file in found) == num_episodes
    counts = [file.num_episodes or 0 for file in found]
    assert max(counts) - min(counts) <= 1


def test_ranges_end_where_an_episode_is_left_out() -> None:
    found = episode_ranges("a.hdf5", 2 * RANGE_BYTES, 10, [0, 2, 3, 4, 5, 6, 9])
    assert [(file.first, file.num_episodes) for file in found] == [(0, 1), (2, 3), (5, 2), (9, 1)]


@pytest.fixture
def d4rl(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "arm.hdf5", "w") as file:
        file["observations"], file["actions"] = np.zeros((15, 2)), np.arange(15.0)[:, None]
        file["terminals"], file["timeouts"] = np.arange(15) % 3 == 2, np.zeros(15, bool)
    return tmp_path / "arm.hdf5"


@pytest.mark.parametrize(
    "name",
    [
        "minari/mujoco/hopper/sample-v0",
        "minari/cartpole/random-v0",
        "robomimic/lift",
        "libero/libero_spatial/pick_up_the_red_block_and_place_it_on_the_green_block_demo.hdf5",
        "maniskill/PickCube-v1/scripted",
        "",
    ],
)
def test_ranges_of_a_dataset_are_its_episodes(name: str, d4rl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    container = open_container(DATA / name if name else d4rl)
    split = container.splits[-1]
    whole = _episodes(container, split)
    monkeypatch.setattr(ranges, "RANGE_EPISODES", 1)
    files = container.files(split)
    assert [file.num_episodes for file in files] == [1] * len(whole)
    assert _episodes(container, split) == whole


def _episodes(container: Container, split: str) -> list[tuple[int, bytes]]:
    """Ordinal and actions of every episode, range by range."""
    return [
        (item.ordinal, b"" if item.episode is None else item.episode.tensors["steps/action"].tobytes())
        for file in container.files(split)
        for item in container.episodes(file.name, container.features.steps, file.first, file.num_episodes)
    ]
