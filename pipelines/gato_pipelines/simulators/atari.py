"""The Arcade Learning Environment: its games, seen as by DQN.

An observation is the pixel-wise maximum of the last two screens of every skip, in gray, 84x84. The
games are the ROMs inside the ale-py package.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.closest import closest
from gato_data.errors import MissingPackageError, SettingError
from gato_data.image_fit import import_cv2
from gato_pipelines.rlds.features import Kind, Leaf
from gato_pipelines.simulators.simulator import Observation, Simulator, Step, png

SIDE = 84
"""Pixels on a side of an observation."""
IMAGE = "steps/observation"


class Atari(Simulator):
    """One game; sticky actions (Machado et al., 2018) are the emulator's."""

    action = Leaf(path="steps/action", kind=Kind.TENSOR, dtype="int64")
    observations = (Leaf(path=IMAGE, kind=Kind.IMAGE, dtype="uint8", shape=(SIDE, SIDE, 1), image_format="png"),)

    def __init__(self, rom: str, *, seed: int = 0, frame_skip: int = 4, sticky: float = 0.25) -> None:
        """Load a game.

        Args:
            rom: as `find_rom` names it.
            seed: of the emulator, for all episodes.
            frame_skip: screens for which an action is held.
            sticky: probability, for each screen, that the emulator repeats the action before.
        """
        ale_py = import_ale_py()
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # no banner on stderr
        self._cv2 = import_cv2()
        self._ale = ale_py.ALEInterface()
        self._ale.setInt("random_seed", seed)
        self._ale.setFloat("repeat_action_probability", sticky)
        self._ale.loadROM(ale_py.roms.get_rom_path(rom))
        self._actions = self._ale.getMinimalActionSet()
        self._frame_skip = frame_skip
        height, width = self._ale.getScreenDims()
        self._screens: NDArray[np.uint8] = np.zeros((2, height, width), dtype=np.uint8)

    @property
    def num_actions(self) -> int:
        """Size of the minimal action set."""
        return len(self._actions)

    def reset(self, rng: np.random.Generator) -> Observation:
        """Start a new game; the emulator goes on with its own random numbers."""
        self._ale.reset_game()
        self._ale.getScreenGrayscale(self._screens[0])
        return self._seen(self._screens[0])

    def step(self, action: int) -> Step:
        """Hold an action for a skip, or until the game ends; the reward is not clipped."""
        reward = 0.0
        for index in range(self._frame_skip):
            reward += self._ale.act(self._actions[action])
            is_end = self._is_over() or index == self._frame_skip - 1
            if is_end or index == self._frame_skip - 2:
                self._screens[1] = self._screens[0]
                self._ale.getScreenGrayscale(self._screens[0])
            if is_end:
                break
        seen = self._seen(np.maximum(self._screens[0], self._screens[1]))
        return Step(action, seen, reward, self._is_over(), self._is_over())

    def _is_over(self) -> bool:
        return bool(self._ale.game_over(with_truncation=False))

    def _seen(self, screen: NDArray[np.uint8]) -> Observation:
        return {IMAGE: png(self._cv2.resize(screen, (SIDE, SIDE), interpolation=self._cv2.INTER_AREA))}


def games() -> list[str]:
    """Names of all games, as `find_rom` takes them.

    Raises:
        MissingPackageError: ale-py is not installed.
    """
    return sorted(game_title(rom) for rom in import_ale_py().roms.get_all_rom_ids())


def find_rom(game: str) -> str:
    """The ROM of a game, whatever its capitals and separators.

    Raises:
        SettingError: there is no such game.
        MissingPackageError: ale-py is not installed.
    """
    by_key = {_key(rom): rom for rom in import_ale_py().roms.get_all_rom_ids()}
    rom = by_key.get(_key(game))
    if rom is None:
        close = closest(_key(game), by_key)
        hint = (
            f"did you mean {game_title(by_key[close])!r}?" if close else f"there are {len(by_key)}, such as 'Breakout'"
        )
        raise SettingError(f"no Atari game named {game!r}: {hint}")
    return str(rom)


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def game_title(rom: str) -> str:
    """Name of a game as TFDS writes it."""
    return rom.title().replace("_", "")


def import_ale_py() -> Any:
    """ale-py, which is an optional package.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import ale_py
        import ale_py.roms
    except ImportError as error:
        raise MissingPackageError('recording Atari games needs ale-py: pip install "gato-data[simulators]"') from error
    return ale_py
