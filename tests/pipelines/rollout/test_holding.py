"""Actions that stand for several timesteps: held, or carried out in parts."""

import numpy as np
import pytest

from gato_data.errors import EpisodeError, SettingError
from gato_pipelines.rollout.holding import Holding, check_hold, part_of
from gato_schemas.selection import Resampling

ARM = {
    "turn": np.array(0.5, np.float32),
    "move": np.array([[0.6, -0.3]], np.float32),
    "gripper": np.array([1, -1], np.float32),
}


def test_the_last_action_is_done_again() -> None:
    assert part_of(ARM, Resampling(every=3)) is ARM


@pytest.mark.parametrize(
    ("held", "whole"), [(0, 0), (1, 1), (2, 2), (3, 3)], ids=["none", "one number", "a field", "more than a field"]
)
def test_a_sum_is_done_in_parts_but_for_what_is_held(held: int, whole: int) -> None:
    """What is held are the last numbers of all fields together, as when ingest adds up."""
    part = part_of(ARM, Resampling(every=3, actions="sum", held=held))
    assert list(part) == list(ARM)
    assert {name: (value.shape, value.dtype) for name, value in part.items()} == {
        name: (value.shape, value.dtype) for name, value in ARM.items()
    }
    numbers, parts = (np.concatenate([each.ravel() for each in action.values()]) for action in (ARM, part))
    np.testing.assert_allclose(parts, np.append(numbers[: 5 - whole] / 3, numbers[5 - whole :]), rtol=1e-6)
    assert ARM["turn"] == 0.5, "what the policy decided is left as it was"


def test_a_sum_is_done_in_parts_in_whatever_order_its_numbers_lie() -> None:
    action = {"move": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))}
    part = part_of(action, Resampling(every=2, actions="sum", held=1))
    assert part["move"].tolist() == [[0, 0.5, 1], [1.5, 2, 5]]


def test_what_cannot_be_divided_is_refused() -> None:
    asked = Resampling(every=2, actions="sum", held=1)
    told = "action 'gear' is int64, and an action that was learned as a sum of 2 wants floats"
    with pytest.raises(EpisodeError, match=told):
        part_of({"gear": np.array(3), "move": np.array([0.5])}, asked)
    assert part_of({"move": np.array([0.5]), "gear": np.array(3)}, asked)["gear"] == 3, "what is held is no sum"


def test_who_decides_when() -> None:
    holding = Holding(Resampling(every=3))
    decided = []
    for step in range(7):
        if holding.decides(0):
            decided.append(step)
            holding.decided(0, {"action": step})
        assert holding.done(0) == {"action": step - step % 3}
    assert decided == [0, 3, 6]
    holding.begin(0)
    assert holding.decides(0), "another episode begins with a decision"


def test_without_resampling_every_timestep_is_decided() -> None:
    holding = Holding(None)
    holding.decided(2, {"action": 1})
    assert holding.done(2) == {"action": 1}
    assert holding.decides(2)


@pytest.mark.parametrize("learned", [[None], [Resampling(idle_below=1e-4), None]], ids=["all", "not idle"])
def test_where_no_action_stands_for_several_timesteps_there_is_none_to_hold(learned: list[Resampling | None]) -> None:
    check_hold(learned, hold=True)
    with pytest.raises(SettingError, match=r"--no-hold is about actions .* \(ingest --every\), .*: leave it out"):
        check_hold(learned, hold=False)
    check_hold([*learned, Resampling(every=2)], hold=False)
