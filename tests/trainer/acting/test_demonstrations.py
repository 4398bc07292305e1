from dataclasses import replace
from pathlib import Path

import numpy as np

from gato_data.shards.episodes import OpenDataset
from gato_data.shards.views import View
from gato_schemas.dataset import read_manifest
from gato_schemas.policy import Demonstration
from gato_schemas.record import decode_record
from gato_trainer.acting.demonstrations import best_demonstrations, first_timesteps, within
from tests.gato_data.reading import folders


def dataset(folder: Path, shards: list[list[folders.Made]]) -> OpenDataset:
    folders.write_dataset(folder, {"train": shards, "validation": [shards[0]]})
    return OpenDataset(folder, read_manifest(folder))


def test_the_best_come_first_and_are_the_beginnings_of_their_episodes(tmp_path: Path) -> None:
    made = folders.episodes("walker", [10, 200, 9, 300, 8, 7], seed=3)
    returns = [1.0, 5.0, float("nan"), 7.0, 5.0, -2.0]
    made = [replace(each, episode_return=value) for each, value in zip(made, returns, strict=True)]
    told = [replace(each, episode_return=0.0) for each in folders.episodes("told", [3], seed=1)]
    found = best_demonstrations(dataset(tmp_path / "d", [[*made[:3], *told], made[3:]]))
    assert {task: len(some) for task, some in found.items()} == {"walker": 4, "told": 1}
    assert [each.episode_return for each in found["walker"]] == [7.0, 5.0, 5.0, 1.0]
    sequences = [decode_record(each.record, "zlib").sequence for each in found["walker"]]
    for sequence, number in zip(sequences, (3, 1, 4, 0), strict=True):
        whole = made[number].sequence
        assert sequence.num_tokens == min(whole.num_tokens, 1024 // 8 * 8)
        np.testing.assert_array_equal(sequence.tokens, whole.tokens[: sequence.num_tokens])
    pixels = decode_record(found["told"][0].record, "zlib").sequence
    np.testing.assert_array_equal(pixels.patches, told[0].sequence.patches)


def test_without_returns_the_first_ones_are_taken(tmp_path: Path) -> None:
    found = best_demonstrations(dataset(tmp_path / "d", [folders.episodes("pong", [4, 5, 6])]), per_task=2)
    assert [each.episode_id[-1] for each in found["pong"]] == ["0", "1"]
    assert found["pong"][0].episode_return is None


def test_only_whole_timesteps_with_their_images_are_kept() -> None:
    sequence = folders.episodes("told", [6], seed=5)[0].sequence
    cut = first_timesteps(sequence, int(sequence.timestep_starts[4]) - 1)
    assert cut.num_timesteps == cut.num_images == 3
    assert cut.num_tokens == sequence.timestep_starts[3]
    assert cut.num_patches == 12
    assert first_timesteps(sequence, 3).num_tokens == 0


def test_every_task_has_one_before_any_has_two() -> None:
    def some(sizes: list[int]) -> list[Demonstration]:
        return [
            Demonstration(task="", agent="", episode_id=str(n), episode_return=None, record=bytes(size))
            for n, size in enumerate(sizes)
        ]

    kept, dropped = within({"a": some([40, 40, 40]), "b": some([40]), "c": some([90, 10])}, 140)
    assert sorted((key, each.episode_id) for key, each in kept) == [("a", "0"), ("a", "1"), ("b", "0"), ("c", "1")]
    assert dropped == 2


def test_a_view_has_its_own_tasks_and_episodes(tmp_path: Path) -> None:
    made = [replace(each, episode_return=float(n)) for n, each in enumerate(folders.episodes("walker", [4, 5, 6, 7]))]
    opened = dataset(tmp_path / "d", [[*made, *folders.episodes("pong", [4])]])
    view = View.parse("task=walker,return<3,agent=agent0")
    found = best_demonstrations(replace(opened, view=view))
    assert [each.episode_return for each in found["walker"]] == [2.0, 0.0]
    assert list(found) == ["walker"]
    assert view.has_task("walker")
    assert not view.has_task("pong")
    assert not View.parse("task!=pong").has_task("pong")
