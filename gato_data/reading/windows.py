"""Where windows lie in episodes: every target token belongs to exactly one window of an epoch.

An episode of T tokens has the targets 1 .. T - 1. Cuts 0 = b_0 < b_1 < ... < b_n = T - 1, shifted by a random phase
every epoch, share them out: window j trains on (b_j, b_j+1] and starts at b_j, so that its first token is context
alone. The last window starts earlier where it can, for more context; a short one ends early and is padded.

Cuts lie at timesteps where the whole timesteps of a window fit the context (`window="timestep"`). In an episode
whose timesteps differ in length the cuts are planned in tokens with some room to spare, and moved back to the start
of a timestep when they are read; a timestep longer than that room is cut where the plan says. Documents, and
`window="token"`, are cut at tokens.
"""

from dataclasses import dataclass

import numpy as np

from gato_data.errors import SettingError
from gato_data.permutation import Keys, Numbers, below
from gato_data.reading.settings import WindowMode

_LONG = 8
"""Episodes of this many windows can afford an extra one where otherwise nearly every epoch had the same cuts."""


@dataclass(frozen=True, slots=True, eq=False)
class Cuts:
    """How E episodes are cut; all arrays int64 (E,).

    Attributes:
        unit: tokens between possible cuts: a timestep, or 1.
        span: units that a window trains on.
        total: units of the whole episode.
        slack: tokens that a cut may be moved back to meet a timestep; 0 where cuts are exact.
        windows: windows of an epoch; 0 for an episode without a target.
    """

    unit: Numbers
    span: Numbers
    total: Numbers
    slack: Numbers
    windows: Numbers

    def take(self, episodes: Numbers) -> "Cuts":
        """The cuts of some of the episodes."""
        return Cuts(*(getattr(self, name)[episodes] for name in self.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """One window of each of N episodes, in tokens of its episode; all arrays int64 (N,).

    The window holds the tokens start .. last and trains on first + 1 .. last.
    """

    start: Numbers
    first: Numbers
    last: Numbers


def cut(tokens: Numbers, timesteps: Numbers, context_length: int, mode: WindowMode) -> Cuts:
    """How episodes of so many tokens and timesteps are cut.

    Raises:
        SettingError: the context has no token.
    """
    if context_length < 1:
        raise SettingError(f"context length {context_length} is not possible: at least 1 token is wanted")
    stepped = (timesteps > 0) & (mode == "timestep")
    divisor = np.where(stepped, timesteps, 1)
    step = tokens // divisor
    regular = stepped & (step * divisor == tokens) & (step > 1) & (step <= context_length)
    unit = np.where(regular, step, 1)
    mean = -(-tokens // divisor)
    slack = np.where(stepped & ~regular, np.minimum(mean + mean // 4, context_length // 2), 0)
    span = np.where(regular, context_length // np.maximum(unit, 1), context_length - slack)
    total = np.where(regular, timesteps, tokens - 1)
    extra = np.where(total >= _LONG * span, span // 4, 0)
    windows = np.where(total <= span, 1, -(-(total + extra) // span))
    return Cuts(unit, span, total, slack, np.where(tokens >= 2, windows, 0))


def span(cuts: Cuts, tokens: Numbers, number: Numbers, phase: Keys, context_length: int) -> Spans:
    """Window `number` of each episode in the epoch that `phase` is a key of; cuts are not yet moved to timesteps."""
    unit, width, total, windows = cuts.unit, cuts.span, cuts.total, cuts.windows
    # Cut j lies at b_j = j width - shift. No window is empty where the first one has a unit,
    # b_1 >= 1, so shift < width, and the last one has one, b_(n-1) < total, so shift > spare - width;
    # all units are shared out where b_0 <= 0 and b_n >= total, so 0 <= shift <= spare.
    spare = windows * width - total
    least, most = np.maximum(0, spare - width + 1), np.minimum(spare, width - 1)
    shift = least + below(phase, np.maximum(most - least + 1, 1))
    end = tokens - 1
    first = np.where(number == 0, 0, np.clip(number * width - shift, 0, total) * unit)
    last = np.where(number == windows - 1, end, np.minimum(((number + 1) * width - shift) * unit, end))
    # start .. end are at most L + 1 tokens where start >= end - L, rounded up to a unit
    earliest = np.maximum(-(-(end - context_length) // unit) * unit, 0)
    start = np.where(number == windows - 1, np.minimum(earliest, first), first)
    return Spans(start, first, last)
