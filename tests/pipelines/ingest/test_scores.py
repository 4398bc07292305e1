"""Scores and numbers of actions as they stand in a manifest: of what was written, also after a retry and a repair."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gato_data.returns import expert_return
from gato_data.verify.repair import repair_dataset
from gato_pipelines.ingest.shards import split_of
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf
from gato_pipelines.rlds.writer import write_directory
from gato_schemas.dataset import Manifest, Scores, read_manifest
from tests.rlds_inputs import DISCRETE, STATE, episode, flip, ingest, shards, write

SUCCESS = Leaf(path="success", kind=Kind.TENSOR, dtype="bool")
REWARD = Leaf(path="steps/reward", kind=Kind.SCALAR, dtype="float32")
RETURNS = [3.0, 9.0, 6.0, 12.0, 1.0, 8.0, 4.0, 2.0]
SUCCEEDED = [False, True, True, True, False, True, False, False]


def played(returns: Sequence[float], successes: Sequence[bool]) -> list[RldsEpisode]:
    """Episodes of three timesteps with these returns, the actions counting up to 4."""
    found = []
    for number, (total, success) in enumerate(zip(returns, successes, strict=True)):
        one = episode(np.array([number % 3, 4, 0]), rewards=[0, total, 0])
        found.append(replace(one, episode={"success": np.array(success)}))
    return found


def recorded(folder: Path, episodes: Sequence[RldsEpisode], shards: int = 2) -> Path:
    card = DatasetCard(name="arm", version="1.0.0", features=Features((STATE, DISCRETE, REWARD, SUCCESS)))
    write_directory(folder, card, episodes, num_episodes=len(episodes), num_shards=shards)
    return folder


def scores(manifest: Manifest) -> Scores:
    (task,) = manifest.tasks.values()
    assert task.scores is not None
    return task.scores


def test_they_are_those_of_the_training_split(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "arm", played(RETURNS, SUCCEEDED))
    manifest = ingest(folder, tmp_path / "out", holdout=0.4).manifest
    ids = [f"arm/{number // 4:05d}/{number % 4:06d}" for number in range(8)]
    train = [number for number, name in enumerate(ids) if split_of(name, 0.4) == "train"]
    assert 0 < len(train) < 8
    returns = np.array(RETURNS)[train]
    assert scores(manifest) == Scores(
        episodes=len(train),
        mean_return=returns.mean(),
        expert_return=expert_return(returns),
        success_rate=np.mean(np.array(SUCCEEDED)[train]),
    )
    (task,) = manifest.tasks.values()
    assert task.action_values == {"action": 5}


def test_they_are_those_of_the_episodes_that_were_kept(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "arm", played(RETURNS, SUCCEEDED))
    by_return = ingest(folder, tmp_path / "a", settings={"min_return_fraction": 0.5}).manifest
    assert scores(by_return) == Scores(episodes=4, mean_return=8.75, expert_return=12, success_rate=1)
    by_success = ingest(folder, tmp_path / "b", settings={"require_success": "success"}).manifest
    assert scores(by_success) == Scores(episodes=4, mean_return=8.75, expert_return=12, success_rate=1)
    first = ingest(folder, tmp_path / "c", max_episodes=3).manifest
    assert scores(first) == Scores(episodes=3, mean_return=6, expert_return=9, success_rate=2 / 3)


def test_parts_with_dead_letters_say_nothing_of_success(tmp_path: Path) -> None:
    episodes = played(RETURNS, SUCCEEDED)
    episodes[1].tensors["steps/action"][0] = 5000
    folder = recorded(tmp_path / "arm", episodes)
    manifest = ingest(folder, tmp_path / "out", max_bad=1).manifest
    returns = [total for number, total in enumerate(RETURNS) if number != 1]
    assert scores(manifest).episodes == 7
    assert scores(manifest).mean_return == pytest.approx(np.mean(returns))
    assert scores(manifest).success_rate == np.mean(SUCCEEDED[4:])


def test_without_rewards_and_flags_nothing_is_claimed(tmp_path: Path) -> None:
    one = replace(episode([0, 1, 2]))
    card = DatasetCard(name="arm", version="1.0.0", features=Features((STATE, DISCRETE)))
    write_directory(tmp_path / "arm", card, [one], num_episodes=1, num_shards=1)
    manifest = ingest(tmp_path / "arm", tmp_path / "out").manifest
    assert scores(manifest) == Scores(episodes=1)
    (task,) = manifest.tasks.values()
    assert (task.action_values, task.environment, task.images) == ({"action": 3}, None, {})


def test_a_repair_counts_them_anew(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "arm", played(RETURNS, SUCCEEDED))
    out = tmp_path / "out"
    before = ingest(folder, out).manifest
    (out / "dataset.json").unlink()
    assert repair_dataset(out).after.whole
    assert read_manifest(out) == before, "of the copy nothing is lost"
    damaged = shards(out)[0]
    flip(damaged, damaged.stat().st_size - 100)
    assert repair_dataset(out).after.whole
    (task,) = read_manifest(out).tasks.values()
    returns = [total for number, total in enumerate(RETURNS) if number != 3]
    assert task.scores == Scores(episodes=7, mean_return=np.mean(returns), expert_return=max(returns))
    assert task.action_values == {"action": 5}


def test_declared_numbers_of_actions_stand_though_fewer_occur(tmp_path: Path) -> None:
    flag = replace(DISCRETE, dtype="bool")
    folder = write(tmp_path / "arm", [episode(np.array([False, False, False]))], action=flag)
    (task,) = ingest(folder, tmp_path / "out").manifest.tasks.values()
    assert task.action_values == {"action": 2}
