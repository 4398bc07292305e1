"""Two tasks in which an action moves in opposite directions, and nothing that is seen tells which of them it is.

Both are environments of gymnasium, `--env mirrored:plain` and `--env mirrored:mirrored`, where this folder is in
PYTHONPATH.
"""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

STEPS = 10
"""Of a path: who plays by chance gets to its end once in a million episodes."""
ROWS, COLUMNS = 9, STEPS + 1
"""Of the grid."""
MOVES = np.array([[0, -1], [0, 1], [-1, 0], [1, 0]])
"""Left, right, up, down."""
CHANCES = (0, 0.5, 0.25, 0.25)
"""Of the arrows of a path."""

Seen = np.int64


class Path(gymnasium.Env[Seen, np.int64]):
    """Follow a path that leads to the right: an arrow shows where its next cell is, a step beside it ends the episode.

    What is seen is the arrow, a number of `MOVES`; a step on the path has a reward.
    """

    observation_space = gymnasium.spaces.Discrete(len(MOVES))
    action_space = gymnasium.spaces.Discrete(len(MOVES))
    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012 - gymnasium's own

    def __init__(self, mirrored: int, render_mode: str | None = None) -> None:
        """Make it.

        Args:
            mirrored: 0, or 1 where every action moves the other way.
            render_mode: gymnasium's.
        """
        self.render_mode = render_mode
        self._mirrored = mirrored
        self._arrows: list[int] = []
        self._cells = np.zeros((1, 2), np.int64)
        self._done = 0

    @property
    def right(self) -> int:
        """The action that stays on the path."""
        return self._arrows[self._done] ^ self._mirrored

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Seen, dict[str, Any]]:
        """Draw a path that stays in the grid."""
        super().reset(seed=seed)
        self._arrows, cells, self._done = [], [np.array([self.np_random.integers(ROWS), 0])], 0
        while len(self._arrows) < STEPS:
            arrow = int(self.np_random.choice(len(MOVES), p=CHANCES))
            there = cells[-1] + MOVES[arrow]
            if 0 <= there[0] < ROWS:
                self._arrows.append(arrow)
                cells.append(there)
        self._cells = np.array(cells)
        return self._seen(), {}

    def step(self, action: np.int64) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        """Take a step."""
        right = int(action) == self.right
        self._done += right
        there = self._done == STEPS
        return self._seen(), float(right), there or not right, False, {"success": there}

    def render(self) -> NDArray[np.uint8]:
        """uint8 (144, 176, 3): the path gray, its end green, the walker red."""
        picture = np.full((ROWS, COLUMNS, 3), 32, np.uint8)
        for colour, cells in (
            (96, self._cells),
            ((0, 160, 0), self._cells[-1:]),
            ((200, 0, 0), self._cells[self._done]),
        ):
            picture[tuple(np.atleast_2d(cells).T)] = colour
        return picture.repeat(16, 0).repeat(16, 1)

    def _seen(self) -> Seen:
        return np.int64(self._arrows[min(self._done, STEPS - 1)])


def plain(render_mode: str | None = None) -> Path:
    """An action moves where it says: 0 to 3 are left, right, up, down."""
    return Path(0, render_mode)


def mirrored(render_mode: str | None = None) -> Path:
    """An action moves the other way."""
    return Path(1, render_mode)


def expert(path: Path) -> Callable[[Any], int]:
    """A player who stays on the path."""
    return lambda seen: path.right
