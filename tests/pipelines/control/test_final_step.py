"""What becomes of final timesteps: the six conventions, found in the data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gato_pipelines.ingest.run import IngestSettings, plan_only
from gato_pipelines.rlds.episode import RldsEpisode
from gato_schemas.dataset import FinalStep, read_manifest
from tests.pipelines.sources.made import ACTION, REWARD, STATE, episode, tensor, write
from tests.pipelines.sources.records import read_dataset
from tests.rlds_inputs import ingest

LEAVES = (STATE, ACTION, REWARD)


def made(actions: list[float], rewards: list[float], *, terminal: bool = True) -> RldsEpisode:
    states = np.arange(2 * len(actions), dtype=np.float32).reshape(-1, 2) / 10
    return episode(
        {
            "observation/state": states,
            "action": np.array(actions, np.float32)[:, None],
            "reward": np.array(rewards, np.float32),
        },
        terminal=terminal,
    )


def placeholder(number: int) -> RldsEpisode:
    return made([0.1 * number, 0.2, 0.0], [1, 1, 0])


def valid(number: int) -> RldsEpisode:
    return made([0.1 * number, 0.2, 0.3], [0, 0, 1])


def rotated(number: int) -> RldsEpisode:
    return made([0.1 * number, 0.2, 0.1 * number], [2, 1, 2], terminal=False)


def terminal_placeholder(number: int) -> RldsEpisode:
    return placeholder(number) if number % 2 else made([0.1 * number, 0.2, 0.3], [1, 1, 1], terminal=False)


@pytest.mark.parametrize(
    ("kind", "expected", "timesteps"),
    [
        (placeholder, FinalStep("drop", "4 of 4 episodes end with an all-zero action and reward"), [2, 2, 2, 2]),
        (valid, FinalStep("keep", "0 of 4 episodes end with an all-zero action and reward"), [3, 3, 3, 3]),
        (rotated, FinalStep("drop", "4 of 4 episodes end with their first action and reward"), [2, 2, 2, 2]),
        (
            terminal_placeholder,
            FinalStep(
                "drop-terminal",
                "2 of 2 terminal episodes, and no others, end with an all-zero action and reward",
            ),
            [2, 3, 2, 3],
        ),
    ],
)
def test_it_is_found_in_the_data(
    kind: Callable[[int], RldsEpisode], expected: FinalStep, timesteps: list[int], tmp_path: Path
) -> None:
    folder = write(tmp_path / "rlds", LEAVES, [kind(number) for number in range(1, 5)], shards=2)
    ingest(folder, tmp_path / "out", source="rlds")
    assert read_manifest(tmp_path / "out").tasks["arm"].final_step == expected
    assert [len(found.timestep_starts) for found in read_dataset(tmp_path / "out")] == timesteps


def test_a_builder_that_is_known_decides(tmp_path: Path) -> None:
    """TFDS's rlu_control_suite pads the reward and not the action: its last action means nothing, and is not zero."""
    folder = write(tmp_path / "rlds", LEAVES, [made([0.1, 0.2, 0.3], [1, 1, 0])], name="rlu_control_suite")
    found = plan_only("dm-control", {}, folder, tmp_path / "out", IngestSettings()).plan.tasks["rlu_control_suite"]
    reason = "in rlu_control_suite the final timestep has no action and reward of its own"
    assert found.final_step == FinalStep("drop", reason)


@pytest.mark.parametrize("asked", ["keep", "drop"])
def test_a_user_decides(asked: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "rlds", LEAVES, [placeholder(1), valid(2)])
    plan = plan_only("rlds", {"final_step": asked}, folder, tmp_path / "out", IngestSettings()).plan
    assert plan.tasks["arm"].final_step == FinalStep(asked, "asked for")  # type: ignore[arg-type]


def test_half_of_them_is_not_enough(tmp_path: Path) -> None:
    """A valid last action of zero with no reward is no placeholder: some episodes end with one by chance."""
    folder = write(tmp_path / "rlds", LEAVES, [placeholder(1), valid(2)])
    plan = plan_only("rlds", {}, folder, tmp_path / "out", IngestSettings()).plan
    assert plan.tasks["arm"].final_step == FinalStep("keep", "1 of 2 episodes end with an all-zero action and reward")


def test_discrete_zeros_behind_terminal_states_are_not_enough(tmp_path: Path) -> None:
    def discrete(actions: list[int], *, terminal: bool) -> RldsEpisode:
        count = len(actions)
        return episode(
            {"observation/state": np.zeros((count, 2), np.float32), "action": np.array(actions)}, terminal=terminal
        )

    episodes = [discrete([3, 0], terminal=True), discrete([3, 4], terminal=False)]
    folder = write(tmp_path / "rlds", (STATE, tensor("steps/action", "int64")), episodes)
    plan = plan_only("rlds", {}, folder, tmp_path / "out", IngestSettings()).plan
    assert plan.tasks["arm"].final_step == FinalStep("keep", "1 of 2 episodes end with an all-zero action and reward")


def test_an_episode_of_one_timestep_that_is_dropped_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "rlds", LEAVES, [placeholder(1), made([0.0], [0])])
    ingest(folder, tmp_path / "out", source="rlds", max_bad=1)
    assert (
        "the episode has one timestep, and its final one is dropped"
        in (tmp_path / "out" / "dead_letters.jsonl").read_text()
    )
    assert len(read_dataset(tmp_path / "out")) == 1
