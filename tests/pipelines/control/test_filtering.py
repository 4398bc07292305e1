"""`--min-return-fraction` and `--require-success`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gato_data.errors import InputError, SettingError
from gato_pipelines.ingest.run import IngestSettings, plan_only
from gato_schemas.dataset import read_manifest
from gato_schemas.selection import EpisodeFilter
from tests.pipelines.sources.made import ACTION, REWARD, STATE, episode, rewarded, tensor, write
from tests.pipelines.sources.records import read_dataset
from tests.rlds_inputs import ingest

LEAVES = (STATE, ACTION, REWARD)


def returns_kept(folder: Path, out: Path, **asked: Any) -> list[float]:
    ingest(folder, out, source="rlds", settings={"min_return_fraction": 0.8}, **asked)
    return [found.episode_return for found in read_dataset(out)]


@pytest.mark.parametrize(
    ("returns", "kept"),
    [
        ([1, 5, 10, 8, 7.9, 9], [10, 8, 9]),
        ([-100, -50, -60, -60.1, -59], [-50, -60, -59]),
        ([0, -1, 0, -0.5], [0, 0]),
        ([-3, 2], [2]),
        ([7], [7]),
    ],
)
def test_what_is_kept(returns: Sequence[float], kept: Sequence[float], tmp_path: Path) -> None:
    folder = write(tmp_path / "rlds", LEAVES, [rewarded(value) for value in returns])
    np.testing.assert_array_equal(returns_kept(folder, tmp_path / "out"), np.float32(kept))
    chosen = read_manifest(tmp_path / "out").tasks["arm"].filter
    assert chosen is not None
    assert (chosen.kept, chosen.dropped) == (len(kept), len(returns) - len(kept))
    assert chosen.window == 1
    assert chosen.expert_return == max(returns)


def test_the_window_is_a_tenth_of_the_episodes(tmp_path: Path) -> None:
    returns = [1.0] * 30
    returns[4], returns[20:23] = 100.0, [10.0, 11.0, 12.0]
    folder = write(tmp_path / "rlds", LEAVES, [rewarded(value) for value in returns], shards=3)
    kept = returns_kept(folder, tmp_path / "out")
    expert = (1 + 1 + 100) / 3
    assert read_manifest(tmp_path / "out").tasks["arm"].filter == EpisodeFilter(
        min_return_fraction=0.8,
        window=3,
        expert_return=expert,
        min_return=pytest.approx(0.8 * expert),
        kept=1,
        dropped=29,
    )
    assert kept == [100]


def test_episodes_are_put_in_the_order_of_collection(tmp_path: Path) -> None:
    """TFDS shuffles episodes; their own numbers tell when they were collected."""
    returns = np.repeat([1.0, 50.0, 1.0], [20, 2, 18])
    order = np.random.default_rng(0).permutation(40)
    episodes = []
    for number in order:
        made = rewarded(float(returns[number]))
        episodes.append(
            episode(
                {p.removeprefix("steps/"): v for p, v in made.tensors.items() if "is_" not in p},
                once={"episode_id": np.array(number)},
            )
        )
    numbered = write(tmp_path / "a", (*LEAVES, tensor("episode_id", "int64")), episodes)
    assert returns_kept(numbered, tmp_path / "out_a") == [50.0, 50.0]
    chosen = read_manifest(tmp_path / "out_a").tasks["arm"].filter
    assert chosen is not None
    assert chosen.expert_return == (50 + 50 + 1 + 1) / 4
    as_stored = write(tmp_path / "b", LEAVES, [rewarded(float(returns[number])) for number in order])
    ingest(as_stored, tmp_path / "out_b", source="rlds", settings={"min_return_fraction": 0.8})
    stored = read_manifest(tmp_path / "out_b").tasks["arm"].filter
    assert stored is not None
    assert stored.expert_return < chosen.expert_return


def test_every_task_has_its_own_expert(tmp_path: Path) -> None:
    for name, scale in (("hopper", 1.0), ("walker", 1000.0)):
        write(tmp_path / name, LEAVES, [rewarded(scale), rewarded(scale / 2)], name=name)
    ingest(
        [tmp_path / "hopper", tmp_path / "walker"],
        tmp_path / "out",
        source="rlds",
        settings={"min_return_fraction": 0.8},
    )
    assert [(e.task, e.episode_return) for e in read_dataset(tmp_path / "out")] == [("hopper", 1.0), ("walker", 1000.0)]


def test_only_the_episodes_that_are_read_make_the_expert(tmp_path: Path) -> None:
    folder = write(tmp_path / "rlds", LEAVES, [rewarded(value) for value in (5, 1, 100)], shards=3)
    assert returns_kept(folder, tmp_path / "out", max_episodes=2) == [5]


def test_dropped_episodes_are_no_dead_letters_and_keep_their_numbers(tmp_path: Path) -> None:
    folder = write(tmp_path / "rlds", LEAVES, [rewarded(value) for value in (1, 10, 2, 10)])
    ingest(folder, tmp_path / "out", source="rlds", settings={"min_return_fraction": 0.8})
    assert (tmp_path / "out" / "dead_letters.jsonl").read_bytes() == b""
    assert read_manifest(tmp_path / "out").dead_letters == 0


def test_an_episode_of_unknown_return_is_dropped(tmp_path: Path) -> None:
    bad = rewarded(float("nan"))
    folder = write(tmp_path / "rlds", LEAVES, [rewarded(1), bad, rewarded(1)])
    assert returns_kept(folder, tmp_path / "out") == [1, 1]


def test_no_reward_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    made = rewarded(1)
    columns = {"observation/state": made.tensors["steps/observation/state"], "action": made.tensors["steps/action"]}
    folder = write(tmp_path / "rlds", (STATE, ACTION), [episode(columns)])
    with pytest.raises(
        InputError, match=r"arm/1\.0\.0 has no reward, which --min-return-fraction needs: leave that out"
    ):
        plan_only("rlds", {"min_return_fraction": 0.8}, folder, tmp_path / "out", IngestSettings())


def test_no_finite_return_at_all(tmp_path: Path) -> None:
    folder = write(tmp_path / "rlds", LEAVES, [rewarded(float("inf"))])
    with pytest.raises(InputError, match="task 'arm' has no episode with a finite return"):
        plan_only("rlds", {"min_return_fraction": 0.8}, folder, tmp_path / "out", IngestSettings())


@pytest.mark.parametrize("fraction", [-0.1, 1.1, 80])
def test_a_fraction_is_a_share(fraction: float, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"min-return-fraction is .*: a share in \[0, 1\] is wanted"):
        plan_only("rlds", {"min_return_fraction": fraction}, tmp_path, tmp_path / "out", IngestSettings())


class TestSuccess:
    def write(self, folder: Path, flags: Sequence[bool]) -> Path:
        made = rewarded(1)
        columns = {p.removeprefix("steps/"): v for p, v in made.tensors.items() if "is_" not in p}
        leaves = (*LEAVES, tensor("success", "bool"), tensor("steps/solved", "bool"))
        episodes = [
            episode({**columns, "solved": np.array([False, flag, False])}, once={"success": np.array(flag)})
            for flag in flags
        ]
        return write(folder, leaves, episodes)

    @pytest.mark.parametrize("key", ["success", "solved", "steps/solved"])
    def test_of_an_episode_or_at_any_timestep(self, key: str, tmp_path: Path) -> None:
        folder = self.write(tmp_path / "rlds", [True, False, True])
        ingest(folder, tmp_path / "out", source="rlds", settings={"require_success": key})
        assert read_manifest(tmp_path / "out").tasks["arm"].filter == EpisodeFilter(
            require_success=key, kept=2, dropped=1
        )
        assert len(read_dataset(tmp_path / "out")) == 2

    def test_a_reward_above_zero_is_success(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "rlds", LEAVES, [rewarded(1), rewarded(0), rewarded(-1)])
        ingest(folder, tmp_path / "out", source="rlds", settings={"require_success": "reward"})
        assert [e.episode_return for e in read_dataset(tmp_path / "out")] == [1]

    def test_all_filtered_fails_and_writes_nothing(self, tmp_path: Path) -> None:
        folder = self.write(tmp_path / "rlds", [False, False])
        with pytest.raises(InputError, match="none of the 2 episodes of task 'arm' has 'success' set"):
            ingest(folder, tmp_path / "out", source="rlds", settings={"require_success": "success"})
        assert not (tmp_path / "out").exists()

    def test_both_filters_together(self, tmp_path: Path) -> None:
        folder = self.write(tmp_path / "rlds", [True, False])
        settings = {"require_success": "success", "min_return_fraction": 0.5}
        ingest(folder, tmp_path / "out", source="rlds", settings=settings)
        chosen = read_manifest(tmp_path / "out").tasks["arm"].filter
        assert chosen is not None
        assert (chosen.kept, chosen.dropped, chosen.min_return) == (1, 1, 0.5)

    def test_a_flag_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        folder = self.write(tmp_path / "rlds", [True])
        with pytest.raises(
            InputError, match=r"--require-success names 'won' of arm/1\.0\.0, which it lacks: it has .*success"
        ):
            plan_only("rlds", {"require_success": "won"}, folder, tmp_path / "out", IngestSettings())


def test_a_filtered_dataset_is_the_same_on_two_processes(tmp_path: Path) -> None:
    from tests.rlds_inputs import digests

    folder = write(tmp_path / "rlds", LEAVES, [rewarded(value) for value in (1, 10, 9, 2, 8, 3)], shards=3)
    for name, workers in (("a", 1), ("b", 2)):
        ingest(folder, tmp_path / name / "arm", source="rlds", settings={"min_return_fraction": 0.8}, workers=workers)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
