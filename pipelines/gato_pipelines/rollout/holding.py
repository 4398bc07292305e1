"""Actions that stand for several timesteps, as `ingest --every` makes them: done again, or in parts of a sum.

timesteps    0 1 2 3 4 5 6 7 8        a policy of --every 3 sees every third timestep; its action is done three
seen         0     3     6            times, or where it learned sums a third of it is
done         0 0 0 3 3 3 6 6 6
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gato_data.errors import EpisodeError, SettingError
from gato_schemas.selection import Resampling


class Holding:
    """What is still to be done in each environment of what a policy has decided."""

    def __init__(self, asked: Resampling | None) -> None:
        self._asked = asked or Resampling()
        self._left: dict[int, tuple[int, Any]] = {}

    def begin(self, seat: int) -> None:
        """An episode begins in an environment, or somebody else acts there: what is left of the last action goes."""
        self._left.pop(seat, None)

    def decides(self, seat: int) -> bool:
        """Whether the policy decides in this timestep."""
        return seat not in self._left

    def decided(self, seat: int, action: Mapping[str, Any]) -> None:
        """Note what it has decided.

        Args:
            seat: number of the environment.
            action: values by field name, in token order.
        """
        self._left[seat] = self._asked.every, part_of(action, self._asked)

    def done(self, seat: int) -> Any:
        """What is done in this timestep, by field name."""
        left, action = self._left.pop(seat)
        if left > 1:
            self._left[seat] = left - 1, action
        return action


def part_of(action: Mapping[str, Any], asked: Resampling) -> Mapping[str, Any]:
    """What is done in one of the timesteps that an action stands for: all of it, or of a sum an equal part.

    Args:
        action: values by field name, in token order.
        asked: how many timesteps it stands for, and what at its end is held and no sum.

    Raises:
        EpisodeError: what would be divided are no floats.
    """
    if asked.actions == "last":
        return action
    parts, held = {}, asked.held
    for name in reversed(list(action)):
        value = np.array(action[name], order="C")
        moves = max(value.size - held, 0)
        held -= value.size - moves
        if moves and value.dtype.kind != "f":
            raise EpisodeError(
                f"action {name!r} is {value.dtype}, and an action that was learned as a sum of {asked.every} wants "
                "floats, to be done in parts: what the run says of its task is damaged"
            )
        if moves:
            value.reshape(-1)[:moves] /= asked.every
        parts[name] = value
    return {name: parts[name] for name in action}


def check_hold(learned: Iterable[Resampling | None], *, hold: bool) -> None:
    """Check that some action stands for several timesteps, where that is not to be heeded.

    Args:
        learned: which timesteps of their recordings the tasks were learned from; None for all of them.
        hold: whether actions are done as often as they were learned for.

    Raises:
        SettingError: every action stands for one timestep, and `hold` is off.
    """
    if not hold and all(asked is None or asked.every == 1 for asked in learned):
        raise SettingError(
            "--no-hold is about actions that were learned for several timesteps each (ingest --every), and what is "
            "played has none: leave it out"
        )
