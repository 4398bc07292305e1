"""The random numbers of an episode."""

import numpy as np

from gato_data.errors import SettingError

MAX_SEED = 2**31 - 1


class Chance:
    """What one episode is drawn from; it does not depend on how many episodes come before or after it.

    Attributes:
        seed: of all episodes, 0 to 2**31 - 1.
        number: of the episode, from 0 on.
        rng: the episode's own random numbers, which its environment and its player draw from in turn.
    """

    def __init__(
        self, seed: int, number: int, stream: tuple[int, ...] = (), *, rng: np.random.Generator | None = None
    ) -> None:
        """Seed an episode.

        Args:
            seed, number: as above.
            stream: tells episodes apart that have the same seed and number: those that are recorded
                from those that are only played.
            rng: random numbers that go on from one episode to the next; None: its own.

        Raises:
            SettingError: the seed is out of range.
        """
        check_seed(seed)
        self.seed, self.number, self._stream = seed, number, stream
        self.rng = np.random.default_rng([seed, number, *stream]) if rng is None else rng

    def of(self, number: int) -> "Chance":
        """What another episode of the same seed is drawn from."""
        return Chance(self.seed, number, self._stream)


def check_seed(seed: int) -> None:
    """Check a seed.

    Raises:
        SettingError: it is out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise SettingError(f"seed {seed} is not between 0 and {MAX_SEED}")


def draw_seed(rng: np.random.Generator) -> int:
    """A seed for something that takes a number."""
    return int(rng.integers(MAX_SEED))
