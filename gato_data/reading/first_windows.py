"""The first windows of every dataset, one dataset after another: what an evaluation reads, whatever the weights are."""

from dataclasses import dataclass, field

import numpy as np

from gato_data.errors import SettingError
from gato_data.permutation import Numbers
from gato_data.reading.sampler import Stage


@dataclass(frozen=True, slots=True, eq=False)
class FirstWindows:
    """Which dataset each of a limited number of samples draws from, in place of a `Sampler`.

    Attributes:
        windows: how many of each dataset are drawn.
        shares: of each dataset among the windows that its weights would draw; they sum to 1.
    """

    windows: tuple[int, ...]
    shares: tuple[float, ...]
    _ends: Numbers = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends", np.cumsum(self.windows))

    @classmethod
    def of(cls, stage: Stage, epoch: Numbers, each: int) -> "FirstWindows":
        """The first `each` windows of every dataset that is drawn; all of one that has fewer.

        Args:
            stage: weights per window.
            epoch: int64 (D,), windows of each dataset in one epoch.
            each: at least 1.

        Raises:
            SettingError: `each` is less.
        """
        if each < 1:
            raise SettingError(f"the first {each} windows of every dataset are none: at least 1 is wanted")
        total = sum(stage.weights)
        drawn = np.minimum(epoch, each) * (np.array(stage.weights) > 0)
        return cls(tuple(drawn.tolist()), tuple(weight / total for weight in stage.weights))

    @property
    def total(self) -> int:
        """Windows of all datasets together."""
        return sum(self.windows)

    def draw(self, samples: Numbers) -> tuple[Numbers, Numbers]:
        """The dataset of each sample and the number of its draw; int64 (N,).

        Raises:
            SettingError: a sample beyond the last one.
        """
        if samples.size and samples.max() >= self.total:
            raise SettingError(f"sample {samples.max():,} does not exist: {self.total:,} windows are drawn in all")
        dataset = np.searchsorted(self._ends, samples, side="right")
        return dataset, samples - (self._ends - np.array(self.windows))[dataset]

    def counts(self, samples: int) -> list[int]:
        """How often each dataset is drawn among the first `samples` samples."""
        before = self._ends - np.array(self.windows)
        counts: list[int] = np.clip(samples - before, 0, self.windows).tolist()
        return counts
