"""BabyAI's GoToLocal with another mission in the same rooms: who does not read the mission goes to the wrong thing.

`--env missions:swapped`, where this folder is in PYTHONPATH; a room of a seed is that of GoToLocal itself.
"""

from typing import Any

import gymnasium
import numpy as np

LEVEL = "BabyAI-GoToLocal-v0"
SIDE = 112
"""Pixels on a side of what is seen, as `gato-data record babyai --pixels` has it."""


class Swapped(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A level whose mission names another thing of the room than the one that was drawn."""

    def __init__(self, env: "gymnasium.Env[Any, Any]") -> None:
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Dict(
            {
                "direction": gymnasium.spaces.Discrete(4),
                "image": gymnasium.spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8),
                "mission": gymnasium.spaces.Text(64),
            }
        )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Draw a room, then a mission of it."""
        from minigrid.envs.babyai.core.verifier import GoToInstr, ObjDesc

        _, info = self.env.reset(seed=seed, options=options)
        level: Any = self.env.unwrapped
        drawn = (level.instrs.desc.type, level.instrs.desc.color)
        things = {(cell.type, cell.color) for cell in level.grid.grid if cell is not None and cell.type != "wall"}
        others = sorted(things - {drawn})
        level.instrs = GoToInstr(ObjDesc(*others[int(level.np_random.integers(len(others)))]))
        level.instrs.reset_verifier(level)
        level.mission = level.instrs.surface(level)
        return self._seen(level.gen_obs()), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act; the mission is done where there is a reward."""
        seen, reward, ended, cut, info = self.env.step(action)
        return self._seen(seen), float(reward), ended, cut, {**info, "success": reward > 0}

    def _seen(self, seen: dict[str, Any]) -> dict[str, Any]:
        level: Any = self.env.unwrapped
        return {**seen, "image": level.get_frame(tile_size=SIDE // 7, agent_pov=True)}


def swapped(render_mode: str | None = None) -> Swapped:
    """The level with swapped missions."""
    import minigrid  # noqa: F401 - registers the levels

    return Swapped(gymnasium.make(LEVEL, disable_env_checker=True, render_mode=render_mode))
