"""Tasks of which no whole timestep fits the context: which they are, and what is said of them."""

from pathlib import Path

import pytest

from gato_data.reading.cut_timesteps import CutTask, cut_sentences, find_cut_tasks
from gato_data.reading.datasets import open_datasets
from gato_data.shards.episodes import read_table
from tests.gato_data.reading.folders import episodes, write_dataset


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """pong has 8 tokens a timestep, walker 8, told 17 and more by its texts; documents have no timestep."""
    both = [*episodes("pong", [4, 5]), *episodes("told", [3, 20])]
    return [
        write_dataset(tmp_path / "pages", {"train": [episodes("pages", [50])]}),
        write_dataset(tmp_path / "both", {"train": [both[:3], both[3:]]}, chunk_tokens=40),
        write_dataset(tmp_path / "walker", {"train": [episodes("walker", [6, 3])]}),
    ]


@pytest.mark.parametrize(
    ("context_length", "tasks"),
    [
        (7, [("both", "pong", 8, False), ("both", "told", 17, True), ("walker", "walker", 8, False)]),
        (8, [("both", "told", 17, True)]),
        (16, [("both", "told", 17, True)]),
        (17, []),
    ],
)
def test_the_shortest_timesteps_decide(
    context_length: int, tasks: list[tuple[str, str, int, bool]], folders: list[Path]
) -> None:
    datasets = open_datasets(folders)
    table, _ = read_table(datasets, "train")
    assert find_cut_tasks(table, datasets, context_length) == [CutTask(*task) for task in tasks]


def test_one_sentence_a_dataset() -> None:
    cut = [CutTask("a", f"task{n}", 1000 + n, False) for n in range(5)] + [CutTask("b", "esc\x1b[31m", 70, True)]
    first, second = cut_sentences(cut, 64)
    assert first == (
        "no whole timestep of a (1,000 tokens in task 'task0', 1,001 tokens in task 'task1', 1,002 tokens in task "
        "'task2' and 2 more tasks) fits a context of 64 tokens: timesteps are cut, and actions are trained on without "
        "the whole observation before them; give --context-length 1004 or more"
    )
    assert second.startswith(r"hardly a whole timestep of b (about 70 tokens in task 'esc\x1b[31m') fits")
