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
from gato_pipelines.environments.atari_pong import PongExpert
from gato_pipelines.environments.chance import Chance, draw_seed
from gato_pipelines.environments.environment import (
    ACTION,
    Environment,
    Frame,
    Observation,
    Player,
    Step,
    chosen,
    image_leaf,
    one_of,
)
from gato_pipelines.rlds.features import Kind, Leaf

SIDE = 84
"""Pixels on a side of an observation."""
IMAGE = "steps/observation"


class Atari(Environment):
    """One game; sticky actions (Machado et al., 2018) are the emulator's."""

    actions = (Leaf(path=ACTION, kind=Kind.TENSOR, dtype="int64"),)
    observations = (image_leaf(IMAGE, SIDE, SIDE, 1),)

    def __init__(
        self,
        rom: str,
        *,
        seed: int | None = None,
        frame_skip: int = 4,
        sticky: float = 0.25,
        max_frames: int | None = None,
    ) -> None:
        """Load a game.

        Args:
            rom: as `find_rom` names it.
            seed: of the emulator, for all episodes, which then depend on those before them; None: it is
                drawn for every episode.
            frame_skip: screens for which an action is held.
            sticky: probability, for each screen, that the emulator repeats the action before.
            max_frames: screens after which an episode is cut.
        """
        ale_py = import_ale_py()
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # no banner on stderr
        self._cv2 = import_cv2()
        self.name, self._rom = game_title(rom), ale_py.roms.get_rom_path(rom)
        self._ale = ale_py.ALEInterface()
        self._ale.setFloat("repeat_action_probability", sticky)
        self._draws_seeds = seed is None
        self._load(seed or 0)
        self._actions = self._ale.getMinimalActionSet()
        self._frame_skip = frame_skip
        self.max_actions = max_frames and -(-max_frames // frame_skip)  # as many as begin before the last screen
        self.expert_policy = PongExpert.policy if rom == PongExpert.rom else ""
        height, width = self._ale.getScreenDims()
        self._screens: NDArray[np.uint8] = np.zeros((2, height, width), dtype=np.uint8)

    @property
    def num_actions(self) -> int:
        """Size of the minimal action set."""
        return len(self._actions)

    def reset(self, chance: Chance) -> Observation:
        """Start another game; with a seed for all episodes the emulator goes on with its own random numbers."""
        if self._draws_seeds:
            self._load(draw_seed(chance.rng))
        self._ale.reset_game()
        self._ale.getScreenGrayscale(self._screens[0])
        return self._seen(self._screens[0])

    def step(self, action: int) -> Step:
        """Hold an action for a skip, or until the game ends; the reward is not clipped."""
        reward, number = 0.0, chosen(action, self.num_actions, self.name)
        for index in range(self._frame_skip):
            reward += self._ale.act(self._actions[number])
            is_end = self._is_over() or index == self._frame_skip - 1
            if is_end or index == self._frame_skip - 2:
                self._screens[1] = self._screens[0]
                self._ale.getScreenGrayscale(self._screens[0])
            if is_end:
                break
        seen = self._seen(np.maximum(self._screens[0], self._screens[1]))
        return Step(number, seen, reward, self._is_over(), self._is_over())

    def random(self, rng: np.random.Generator) -> Player:
        """Any action of the minimal set, all alike."""
        return one_of(self.num_actions, rng)

    def expert(self, rng: np.random.Generator) -> Player:
        """Of Pong alone."""
        expert = PongExpert(self._ale)
        return lambda seen: expert.act()

    def frame(self) -> Frame:
        """The screen in colour."""
        return np.asarray(self._ale.getScreenRGB(), dtype=np.uint8)

    def _load(self, seed: int) -> None:
        self._ale.setInt("random_seed", seed)
        self._ale.loadROM(self._rom)

    def _is_over(self) -> bool:
        return bool(self._ale.game_over(with_truncation=False))

    def _seen(self, screen: NDArray[np.uint8]) -> Observation:
        return {IMAGE: self._cv2.resize(screen, (SIDE, SIDE), interpolation=self._cv2.INTER_AREA)}


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
        raise MissingPackageError('playing Atari games needs ale-py: pip install "gato-data[simulators]"') from error
    return ale_py
