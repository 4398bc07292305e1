"""BabyAI's GoToLocal, where this folder is in PYTHONPATH, in three other ways.

`--env missions:swapped` has another mission in the same rooms: who does not read the mission goes to the wrong thing.
`--env missions:detours --expert missions:expert` leads the player to things that the mission doesn't name, from where
the expert shows the way: what is beside it then is hardly ever what is wanted, so that the mission has to be read.
`--env missions:pointing --expert missions:pointer` asks where in the view a thing is, from anywhere in the room.
"""

import contextlib
import io
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from gato_pipelines.environments.babyai_bot import bot_errors, bot_player

LEVEL = "BabyAI-GoToLocal-v0"
SIDE = 112
"""Pixels on a side of what is seen, as `gato-data record babyai --pixels` has it."""
MOVES = (0, 1, 2)
"""Left, right, on."""
STOP = 6
"""Says that a mission is done, and does nothing."""
BEGIN = 0.15
"""Chance that a detour begins with an action."""
LOST = 0.2
"""Chance that an action of a detour is one of `MOVES`, whichever."""
CELLS = 7
"""Of the view, on a side."""
NOWHERE = CELLS * CELLS
"""Points at nothing, since the thing is not in view."""
HIDDEN = 0.1
"""Chance that one is asked for any thing of the room, in view or not."""


class Room(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The level, seen as a picture."""

    def __init__(self, env: "gymnasium.Env[Any, Any]") -> None:
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Dict(
            {
                "direction": gymnasium.spaces.Discrete(4),
                "image": gymnasium.spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8),
                "mission": gymnasium.spaces.Text(64),
            }
        )

    @property
    def level(self) -> Any:
        """The level itself."""
        return self.env.unwrapped

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Draw a room with a mission."""
        with contextlib.redirect_stdout(io.StringIO()):  # tells of every layout that it discards
            _, info = self.env.reset(seed=seed, options=options)
        return self.seen(self.level.gen_obs()), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act; the mission is done where there is a reward."""
        seen, reward, ended, cut, info = self.env.step(action)
        return self.seen(seen), float(reward), ended, cut, {**info, "success": reward > 0}

    def seen(self, seen: dict[str, Any]) -> dict[str, Any]:
        """What is seen, with the picture in place of numbers."""
        return {**seen, "image": self.level.get_frame(tile_size=SIDE // CELLS, agent_pov=True)}

    def things(self) -> list[tuple[str, str]]:
        """What is in the room, each a kind and a color."""
        cells = {(cell.type, cell.color) for cell in self.level.grid.grid if cell is not None and cell.type != "wall"}
        return sorted(cells)

    def other_mission(self) -> Any:
        """A mission to another thing of the room."""
        from minigrid.envs.babyai.core.verifier import GoToInstr, ObjDesc

        drawn = (self.level.instrs.desc.type, self.level.instrs.desc.color)
        others = [thing for thing in self.things() if thing != drawn]
        mission = GoToInstr(ObjDesc(*others[int(self.level.np_random.integers(len(others)))]))
        mission.reset_verifier(self.level)
        return mission


class Swapped(Room):
    """A room whose mission names another thing than the one that was drawn."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Draw a room, then a mission of it."""
        _, info = super().reset(seed=seed, options=options)
        self.level.instrs = self.other_mission()
        self.level.mission = self.level.instrs.surface(self.level)
        return self.seen(self.level.gen_obs()), info


class Detours(Room):
    """A room in which the player is led to another thing at times, whatever it wants to do.

    Attributes:
        done: the last action, whosesoever it was; None where an episode has just begun.
    """

    done: int | None = None
    _detour: Callable[[], int] | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Draw a room with a mission."""
        self.done, self._detour = None, None
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act, or take a step of a detour."""
        if self._detour is None and self.level.np_random.random() < BEGIN:
            mission = self.level.instrs
            self.level.instrs = self.other_mission()
            self._detour = guide(self)
            self.level.instrs = mission
        self.done = self._led(int(action))
        return super().step(self.done)

    def _led(self, action: int) -> int:
        """What is done in place of an action, or the action itself where no detour is made."""
        there = STOP if self._detour is None else self._detour()
        if there not in MOVES:
            self._detour = None
            return action
        return int(self.level.np_random.choice(MOVES)) if self.level.np_random.random() < LOST else there


class Pointing(Room):
    """A room that asks where in the view a thing is: rows of cells from the top, or `NOWHERE`.

    Attributes:
        thing: what is asked for, a kind and a color.
    """

    thing: tuple[str, str]

    def __init__(self, env: "gymnasium.Env[Any, Any]") -> None:
        super().__init__(env)
        self.action_space = gymnasium.spaces.Discrete(NOWHERE + 1)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Draw a room and ask."""
        _, info = super().reset(seed=seed, options=options)
        return self._ask(), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Point; one who is right has a reward, and is asked again from elsewhere."""
        right = int(action) == self.place()
        return self._ask(), float(right), False, False, {}

    def place(self) -> int:
        """Where the thing is; the first of several."""
        seen = self._view()
        return next((at for at, cell in enumerate(seen) if cell == self.thing), NOWHERE)

    def _ask(self) -> Any:
        self.level.place_agent()
        seen = sorted(set(self._view()) & set(self.things()))
        asked = self.things() if not seen or self.level.np_random.random() < HIDDEN else seen
        self.thing = asked[int(self.level.np_random.integers(len(asked)))]
        self.level.mission = f"the {self.thing[1]} {self.thing[0]}"
        return self.seen(self.level.gen_obs())

    def _view(self) -> list[tuple[str, str]]:
        """Kind and color of the cells in view, rows from the top."""
        from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT

        cells = self.level.gen_obs()["image"].transpose(1, 0, 2).reshape(NOWHERE, 3)
        return [(IDX_TO_OBJECT[int(kind)], IDX_TO_COLOR[int(color)]) for kind, color, _ in cells]


def guide(room: Detours) -> Callable[[], int]:
    """minigrid's bot, for the mission that a room has now; it says `STOP` where it is there, or gives up."""
    begun = False
    player, gives_up = bot_player(room.level, lambda: room.done if begun else None), bot_errors()

    def act() -> int:
        nonlocal begun
        try:
            action = int(player({}))
        except gives_up:
            return STOP
        begun = True
        return action

    return act


def expert(room: Detours) -> Callable[[Any], int]:
    """The bot, which knows what was done in its place."""
    act = guide(room)
    return lambda seen: act()


def pointer(room: Pointing) -> Callable[[Any], int]:
    """Somebody who sees what is where."""
    return lambda seen: room.place()


def swapped(render_mode: str | None = None) -> Swapped:
    """The level with swapped missions."""
    return Swapped(_level(render_mode))


def detours(render_mode: str | None = None) -> Detours:
    """The level with detours."""
    return Detours(_level(render_mode))


def pointing(render_mode: str | None = None) -> Pointing:
    """The level, in which one points."""
    return Pointing(_level(render_mode))


def _level(render_mode: str | None) -> "gymnasium.Env[Any, Any]":
    import minigrid  # noqa: F401 - registers the levels

    return gymnasium.make(LEVEL, disable_env_checker=True, render_mode=render_mode)
