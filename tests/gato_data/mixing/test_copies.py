"""Episodes that stand in more than one dataset of a mixture."""

from pathlib import Path

import pytest

from gato_data.mixing.copies import Copies, copy_sentences, find_copies
from gato_data.reading.datasets import open_datasets
from gato_data.shards.views import View
from tests.gato_data.reading.folders import episodes, write_dataset


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Thirty datasets, each of which has two episodes of the next one, one of them held out; two stand apart."""
    root = tmp_path_factory.mktemp("many")
    own = [episodes("walker", [5, 6, 7, 8], seed=number) for number in range(30)]
    folders = []
    for number, made in enumerate(own):
        following = own[number + 1][:2] if number < 27 else []
        splits = {"train": [[*made, *following[:1]]], "validation": [following[1:]]}
        folders.append(write_dataset(root / f"d{number:02d}", splits))
    return folders


def test_planted_copies_are_all_found(many: list[Path]) -> None:
    found = find_copies(open_datasets(many))
    assert found == [
        Copies(datasets=(f"d{number:02d}", f"d{number + 1:02d}"), episodes=2, leaks=1) for number in range(27)
    ]
    told = copy_sentences(found)
    assert told[0] == (
        "2 episodes of d00 stand in d01 too, 1 of them trained on by one and held out by the other: the view "
        "d00[not-in=d01] leaves them out"
    )
    assert told[5:] == ["44 more episodes are shared by 22 more pairs of datasets: see --json"]


def test_a_view_leaves_them_out(many: list[Path]) -> None:
    views = [View.parse(f"not-in=d{number + 1:02d}") if number < 29 else View() for number in range(30)]
    assert find_copies(open_datasets(many, views)) == []


def test_views_of_one_dataset_are_no_copies(many: list[Path]) -> None:
    assert find_copies(open_datasets([many[0], many[0]], [View(), View.parse("length>5")])) == []
