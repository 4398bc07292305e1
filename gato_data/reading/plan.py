"""What is read for any range of samples, decided before anything is read."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np

from gato_data.errors import MixtureError
from gato_data.permutation import Numbers
from gato_data.reading.first_windows import FirstWindows
from gato_data.reading.layouts import RecordLayouts
from gato_data.reading.pieces import Pieces, WindowNumbers, WindowPlanner, Windows, packed_pieces
from gato_data.reading.prompts import Prompter
from gato_data.reading.reads import Reads
from gato_data.reading.sampler import ALGORITHM, Draws, Sampler
from gato_data.reading.settings import ReadSettings
from gato_data.reading.timesteps import TimestepStarts
from gato_data.reading.weights import dataset_totals, window_stages
from gato_data.shards.episodes import EpisodeTable
from gato_schemas.mixture import Mixture


@dataclass(frozen=True, slots=True, eq=False)
class BatchPlan:
    """One batch to be.

    Attributes:
        pieces: what stands where in its rows.
        reads: the records that they come from.
        joined: the same in as few reads as columns that repeat need.
        dataset, sample: int64 (B,), the dataset and the global sample number of each row.
    """

    pieces: Pieces
    reads: Reads
    joined: Reads
    dataset: Numbers
    sample: Numbers


class StreamPlanner:
    """The stream of a mixture: a pure function of the global sample number.

    Args:
        mixture: datasets and weights.
        table: their episodes in one split.
        starts: where timesteps start, in episodes where that has to be read.
        layouts: of the records.
        settings: how windows are drawn.
        split: the split the table is of.
        each: draw only the first so many windows of every dataset, whatever the weights are.

    Raises:
        MixtureError: a dataset has no window.
        SettingError: `each` is less than 1.

    Attributes:
        numbers: windows of the episodes.
        totals: windows, tokens, loss tokens and episodes of each dataset in one epoch.
        first_windows: what is drawn with `each`; else None.
        sampler: which dataset each sample draws from.
    """

    def __init__(
        self,
        mixture: Mixture,
        table: EpisodeTable,
        starts: TimestepStarts,
        layouts: RecordLayouts,
        settings: ReadSettings,
        split: str,
        each: int | None = None,
    ) -> None:
        self._mixture, self._settings, self._split, self._each = mixture, settings, split, each
        names = [dataset.name for dataset in mixture.datasets]
        self.numbers = WindowNumbers.of(table, settings)
        self.totals = dataset_totals(table, self.numbers.of_datasets)
        stages = window_stages(mixture, self.totals, split)
        windows = self.numbers.of_datasets
        self.first_windows = None if each is None else FirstWindows.of(stages[-1], windows, each)
        self.sampler: Draws = self.first_windows or Sampler(stages)
        self._planner = WindowPlanner(table, self.numbers, names, self.sampler, starts, settings)
        self.prompter = Prompter(table, names, starts, settings)
        self._table, self._layouts, self._periods = table, layouts, layouts.periods

    def windows(self, samples: Numbers) -> Windows:
        """The windows of samples int64 (N,), before prompts."""
        return self._planner.plan(samples)

    def plan(self, ranges: Sequence[range]) -> list[BatchPlan]:
        """One plan for each range of samples; planning many at once costs little more than one.

        Raises:
            FormatError: where timesteps start cannot be read.
        """
        samples = np.concatenate([np.arange(0), *(np.arange(r.start, r.stop, r.step) for r in ranges)])
        windows = self.windows(samples)
        pieces = self.prompter.pieces(windows)
        if self._settings.pack:
            pieces = Pieces.join([pieces, packed_pieces(self._table, self.numbers.bins, windows)])
        reads = Reads.of(pieces, self._table, self._layouts)
        bounds = np.cumsum([0, *map(len, ranges)])
        columns = (part.split(bounds) for part in (pieces, reads, reads.joined(self._periods)))
        rows = ((windows.dataset[first:stop], samples[first:stop]) for first, stop in pairwise(bounds.tolist()))
        return [BatchPlan(*parts, *row) for *parts, row in zip(*columns, rows, strict=True)]

    def identity(self, sample: int | None = None) -> dict[str, str]:
        """What decides the samples before `sample` (all samples if None), each part as a short text.

        A run keeps this beside its sample number; a stage that begins later does not change it.
        """
        stages = [s for s in self._mixture.stages if sample is None or s.first_sample < max(sample, 1)]
        parts: dict[str, object] = {
            "reader algorithm": ALGORITHM,
            "split": self._split,
            "weights": [[s.first_sample, s.measure, _without_tail(s.weights)] for s in stages],
            **{name.replace("_", " "): value for name, value in self._settings.stream().items()},
        }
        if self._each is not None:
            parts["first windows of every dataset"] = self._each
        drawn = {n for s in stages for n, weight in enumerate(s.weights) if weight}
        for number, dataset in enumerate(self._mixture.datasets):
            if number in drawn:
                parts[f"dataset {dataset.name}"] = [number, dataset.fingerprint, dataset.content_id]
        texts = {name: msgspec.json.encode(value, order="sorted").decode() for name, value in parts.items()}
        return {name: text if len(text) <= 40 else _digest(text) for name, text in texts.items()}

    @property
    def fingerprint(self) -> str:
        """A hash of `identity()`."""
        return _digest(msgspec.json.encode(self.identity(), order="sorted").decode())


def check_identity(stored: Mapping[str, str], current: Mapping[str, str]) -> None:
    """Check that a stream goes on as it began.

    Args:
        stored: `identity(n)` when the run stopped before sample n.
        current: `identity(n)` now.

    Raises:
        MixtureError: they differ; the message names what changed.
    """
    changed = [
        f"{name} ({stored.get(name, 'nothing')} became {current.get(name, 'nothing')})"
        for name in sorted({*stored, *current})
        if stored.get(name) != current.get(name)
    ]
    if changed:
        raise MixtureError(
            f"this is not the stream that the run began with: {'; '.join(changed)}; "
            "go back to the former mixture and settings, or start a new run"
        )


def _without_tail(weights: Sequence[float]) -> list[float]:
    """Weights without the zeros at the end, so that a dataset added later changes nothing before."""
    used = max((n + 1 for n, weight in enumerate(weights) if weight), default=0)
    return list(weights[:used])


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
