"""A file of many episodes comes in ranges that cover it once."""

from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gato_data.errors import InputError
from gato_pipelines.containers import ranges
from gato_pipelines.containers.container import Container
from gato_pipelines.containers.detect import open_container
from gato_pipelines.containers.ranges import RANGE_BYTES, RANGE_EPISODES, episode_ranges, row_group_ranges
from gato_pipelines.control.splits import split_files

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


@pytest.mark.parametrize(
    ("groups", "wanted"),
    [
        ([(4, 10), (3, 10)], [(0, 7)]),
        ([(4, RANGE_BYTES), (3, 1), (2, 1)], [(0, 4), (4, 5)]),
        ([(4, 3 * RANGE_BYTES), (0, 1), (3, 1)], [(0, 4), (4, 3)]),
        ([(RANGE_EPISODES - 1, 1), (1, 1), (2, 1)], [(0, RANGE_EPISODES), (RANGE_EPISODES, 2)]),
        ([(0, 1)], [(0, 0)]),
        ([], [(0, 0)]),
    ],
)
def test_ranges_of_row_groups(groups: list[tuple[int, int]], wanted: list[tuple[int, int]]) -> None:
    found = row_group_ranges("a.parquet", 99, groups)
    assert [(file.first, file.num_episodes) for file in found] == wanted
    assert {(file.name, file.size) for file in found} == {("a.parquet", 99)}


@pytest.fixture
def jat(tmp_path: Path) -> Path:
    """Two files of seven and two rows, the first one in row groups of two."""
    folder = tmp_path / "reach"
    folder.mkdir()
    for number, rows in enumerate((7, 2)):
        table = pa.table(
            {
                "continuous_observations": [[[float(row), float(number)]] * 3 for row in range(rows)],
                "continuous_actions": [[[row / 10]] * 3 for row in range(rows)],
            }
        )
        pq.write_table(table, folder / f"train-0000{number}-of-00002.parquet", row_group_size=2)
    return folder


def test_ranges_of_jat_are_whole_row_groups(jat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    container = open_container(jat)
    whole = _episodes(container, "train")
    assert [(file.first, file.num_episodes) for file in container.files("train")] == [(0, 7), (0, 2)]
    monkeypatch.setattr(ranges, "RANGE_EPISODES", 4)
    assert [(file.first, file.num_episodes) for file in container.files("train")] == [(0, 4), (4, 3), (0, 2)]
    assert _episodes(container, "train") == whole
    found = split_files(container, "train[1shard:]")
    assert [(file.name[6:11], file.first, file.num_episodes) for file in found] == [("00001", 0, 2)]
    found = split_files(container, "train[3:8]")
    assert [(file.name[6:11], file.first, file.num_episodes) for file in found] == [
        ("00000", 3, 1),
        ("00000", 4, 3),
        ("00001", 0, 1),
    ]


def test_a_damaged_row_group_costs_its_own_range(jat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    container = open_container(jat)
    monkeypatch.setattr(ranges, "RANGE_EPISODES", 4)
    path = jat / "train-00000-of-00002.parquet"
    column = pq.read_metadata(path).row_group(0).column(0)
    data = bytearray(path.read_bytes())
    at = column.dictionary_page_offset or column.data_page_offset
    data[at : at + 20] = bytes(20)
    path.write_bytes(data)
    found = [
        (item.ordinal, item.error is None, item.count)
        for file in container.files("train")[:2]
        for item in container.episodes(file.name, container.features.steps, file.first, file.num_episodes)
    ]
    assert found == [(0, False, 4), (4, True, 1), (5, True, 1), (6, True, 1)]
    path.write_bytes(b"PAR1")
    found = [
        (item.ordinal, item.error is None, item.count)
        for item in container.episodes(path.name, container.features.steps, 4, 3)
    ]
    assert found == [(4, False, 3)]


def test_a_file_without_row_groups(jat: Path) -> None:
    """It is a part of no episodes beside others; alone it is refused by its name."""
    whole, empty = jat / "train-00000-of-00002.parquet", jat / "train-00001-of-00002.parquet"
    pq.ParquetWriter(empty, pq.read_schema(whole)).close()
    container = open_container(jat)
    assert [(file.name, file.num_episodes) for file in container.files("train")][-1] == (empty.name, 0)
    assert list(container.episodes(empty.name, container.features.steps, 0, 0)) == []
    with pytest.raises(InputError, match=rf"^{empty} cannot be read \(it has no rows\)"):
        open_container(empty)
    whole.unlink()
    alone = jat.rename(jat.with_name("alone"))
    with pytest.raises(InputError, match=rf"^no parquet file in {alone} can be read \(it has no rows\)"):
        open_container(alone)


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
