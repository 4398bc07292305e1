"""The Arcade Learning Environment: its games, and how they are played and seen."""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import MissingPackageError, SettingError
from gato_pipelines.images.fit import Frames, import_cv2

SIDE = 84
"""Pixels on a side of a frame."""
MAX_FRAMES = 108_000
"""Half an hour of play at 60 frames per second, the usual limit of an episode."""
MAX_SEED = 2**31 - 1

_PNG_LEVEL = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """How a game is played.

    Attributes:
        seed: of the policy and the emulator, 0 to 2**31 - 1.
        max_frames: screens after which an episode is truncated.
        frame_skip: screens for which an action is held.
        sticky: probability, for each screen, that the emulator repeats the action before.

    Raises:
        SettingError: a value is out of range.
    """

    seed: int = 0
    max_frames: int = MAX_FRAMES
    frame_skip: int = 4
    sticky: float = 0.25

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise SettingError(f"seed {self.seed} is not between 0 and {MAX_SEED}")
        if self.frame_skip < 1 or self.max_frames < self.frame_skip:
            raise SettingError(
                f"frame skip {self.frame_skip} with at most {self.max_frames} frames leaves no timestep: "
                "the skip must be 1 or more, and the frames at least as many"
            )
        if not 0 <= self.sticky < 1:
            raise SettingError(f"the probability of sticky actions is {self.sticky}, 0 or more and below 1 was wanted")


class Emulator:
    """One game in the Arcade Learning Environment, its frames made as for DQN."""

    def __init__(self, rom: str, play: Play) -> None:
        ale_py = import_ale_py()
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # no banner on stderr
        self._cv2 = import_cv2()
        self._ale = ale_py.ALEInterface()
        self._ale.setInt("random_seed", play.seed)
        self._ale.setFloat("repeat_action_probability", play.sticky)
        self._ale.loadROM(ale_py.roms.get_rom_path(rom))
        self._actions = self._ale.getMinimalActionSet()
        self._frame_skip = play.frame_skip
        height, width = self._ale.getScreenDims()
        self._screens: NDArray[np.uint8] = np.zeros((2, height, width), dtype=np.uint8)

    @property
    def num_actions(self) -> int:
        """Size of the minimal action set."""
        return len(self._actions)

    @property
    def is_over(self) -> bool:
        """Whether the game has ended."""
        return bool(self._ale.game_over(with_truncation=False))

    def reset(self) -> bytes:
        """Start a new game; returns its first frame, encoded."""
        self._ale.reset_game()
        self._ale.getScreenGrayscale(self._screens[0])
        return self._encode(self._screens[0])

    def act(self, action: int) -> tuple[float, bytes]:
        """Hold an action for a skip, or until the game ends; returns the unclipped reward and the frame, encoded."""
        reward = 0.0
        for index in range(self._frame_skip):
            reward += self._ale.act(self._actions[action])
            is_end = self.is_over or index == self._frame_skip - 1
            if is_end or index == self._frame_skip - 2:
                self._screens[1] = self._screens[0]
                self._ale.getScreenGrayscale(self._screens[0])
            if is_end:
                break
        return reward, self._encode(np.maximum(self._screens[0], self._screens[1]))

    def _encode(self, screen: Frames) -> bytes:
        small = self._cv2.resize(screen, (SIDE, SIDE), interpolation=self._cv2.INTER_AREA)
        done, png = self._cv2.imencode(".png", small, [self._cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
        assert done, "OpenCV encodes every gray image as PNG"
        return bytes(png)


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
        close = get_close_matches(_key(game), by_key, n=1)
        hint = (
            f"did you mean {game_title(by_key[close[0]])!r}?"
            if close
            else f"there are {len(by_key)}, such as 'Breakout'"
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
