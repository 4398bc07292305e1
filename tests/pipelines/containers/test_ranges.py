"""A file of many episodes comes in ranges that cover it once."""

from itertools import pairwise
from pathlib import Path

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


@pytest.mark.parametrize("name", ["mujoco/hopper/sample-v0", "cartpole/random-v0"])
def test_ranges_of_a_dataset_are_its_episodes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    container = open_container(DATA / "minari" / name)
    whole = _episodes(container)
    monkeypatch.setattr(ranges, "RANGE_EPISODES", 2)
    files = container.files("train")
    assert len(files) == -(-len(whole) // 2)
    assert _episodes(container) == whole


def _episodes(container: Container) -> list[tuple[int, bytes]]:
    """Ordinal and actions of every episode, range by range."""
    return [
        (item.ordinal, b"" if item.episode is None else item.episode.tensors["steps/action"].tobytes())
        for file in container.files("train")
        for item in container.episodes(file.name, container.features.steps, file.first, file.num_episodes)
    ]
