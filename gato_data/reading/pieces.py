"""Samples -> pieces: which tokens of which episode stand where in each window of a batch. Nothing is read but, in
episodes whose timesteps differ in length, where those timesteps start.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gato_data.permutation import Keys, Numbers, combine, key, permute
from gato_data.reading.packing import Bins
from gato_data.reading.sampler import Draws
from gato_data.reading.settings import ReadSettings
from gato_data.reading.timesteps import TimestepStarts
from gato_data.reading.windows import Cuts, Spans, cut, span
from gato_data.shards.episodes import EpisodeTable


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Runs of consecutive tokens, in the order of the slots they fill; int64 (N,).

    Attributes:
        row, slot: where the piece begins in the batch.
        token: its first token, counted through the whole mixture.
        length: its tokens.
        untrained: how many tokens at its beginning are context alone.
        segment: which of the episodes packed into the row it belongs to.
    """

    row: Numbers
    slot: Numbers
    token: Numbers
    length: Numbers
    untrained: Numbers
    segment: Numbers

    def take(self, which: NDArray[np.bool_] | slice) -> "Pieces":
        """Some of the pieces."""
        return Pieces(*(getattr(self, name)[which] for name in self.__slots__))

    def split(self, bounds: Numbers) -> Iterator["Pieces"]:
        """The pieces of the rows between every two neighbouring bounds, rows renumbered from 0."""
        places = np.searchsorted(self.row, bounds).tolist()
        for first, (start, stop) in zip(bounds.tolist(), pairwise(places), strict=False):
            part = self.take(slice(start, stop))
            yield replace(part, row=part.row - first)

    @classmethod
    def join(cls, parts: Sequence["Pieces"]) -> "Pieces":
        """All pieces of several, in the order of their slots."""
        columns = [np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__]
        order = np.lexsort((columns[1], columns[0]))
        return cls(*(column[order] for column in columns))


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """One window for each of N samples, before prompts and packing; int64 (N,) unless said.

    Attributes:
        sample: the global sample number.
        dataset: its number.
        draw: how often the dataset was drawn before.
        epoch: how often all its windows were drawn before.
        number: of the window among those of its dataset.
        episode: counted through the whole mixture; the first one of a bin.
        spans: the tokens, within the episode.
        cuts: how the episode is cut.
        bin_number: of the bin of packed episodes that the window is; -1 for other windows.
    """

    sample: Numbers
    dataset: Numbers
    draw: Numbers
    epoch: Numbers
    number: Numbers
    episode: Numbers
    spans: Spans
    cuts: Cuts
    bin_number: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class WindowNumbers:
    """The windows of every dataset in one epoch: first its bins of packed episodes, then those of the other episodes.

    Attributes:
        episode_window: int64 (E + 1,), windows before each episode, bins not counted.
        dataset_window: int64 (D + 1,), windows before each dataset, bins not counted.
        bins: episodes that share a window.
    """

    episode_window: Numbers
    dataset_window: Numbers
    bins: Bins

    @property
    def of_datasets(self) -> Numbers:
        """Windows of each dataset in one epoch, int64 (D,)."""
        return np.diff(self.dataset_window) + np.diff(self.bins.dataset_bin)

    @classmethod
    def of(cls, table: EpisodeTable, settings: ReadSettings) -> "WindowNumbers":
        """Count the windows of all episodes."""
        tokens = table.episode_tokens
        per_episode = cut(tokens, table.timesteps, settings.context_length, settings.window).windows
        bins = Bins.none(len(table.dataset_episode) - 1)
        if settings.pack:
            fits = np.flatnonzero(per_episode == 1)
            bins = Bins.of(tokens, fits, table.dataset_episode, settings.context_length + 1)
            per_episode[fits] = 0
        episode_window = np.concatenate([[0], np.cumsum(per_episode)])
        return cls(episode_window, episode_window[table.dataset_episode], bins)


class WindowPlanner:
    """Finds the window of any sample.

    Args:
        table: the episodes of the mixture.
        numbers: their windows.
        names: of the datasets; together with the seed they key every random choice.
        sampler: which dataset each sample draws from.
        starts: where timesteps start, in episodes where that has to be read.
        settings: seed, context length and kind of windows.
    """

    def __init__(
        self,
        table: EpisodeTable,
        numbers: WindowNumbers,
        names: Sequence[str],
        sampler: Draws,
        starts: TimestepStarts,
        settings: ReadSettings,
    ) -> None:
        self._table, self._numbers, self._sampler, self._starts = table, numbers, sampler, starts
        self._context_length, self._mode = settings.context_length, settings.window
        self._window_key = _keys(settings.seed, "window", names)
        self._phase_key = _keys(settings.seed, "phase", names)
        self._size = numbers.of_datasets

    def plan(self, samples: Numbers) -> Windows:
        """The windows of some samples; raises FormatError where timesteps cannot be read."""
        dataset, draw = self._sampler.draw(samples)
        size = self._size[dataset]
        epoch, place = np.divmod(draw, size)
        number = permute(place, size, combine(self._window_key[dataset], epoch))
        return self._locate(samples, dataset, draw, epoch, number)

    def _locate(self, samples: Numbers, dataset: Numbers, draw: Numbers, epoch: Numbers, number: Numbers) -> Windows:
        bins = self._numbers.bins
        bin_number = bins.dataset_bin[dataset] + number
        packed = bin_number < bins.dataset_bin[dataset + 1]
        beyond = number - (bins.dataset_bin[dataset + 1] - bins.dataset_bin[dataset])
        window = self._numbers.dataset_window[dataset] + beyond
        episode = np.searchsorted(self._numbers.episode_window, window, side="right") - 1
        which = window - self._numbers.episode_window[episode]
        episode[packed] = bins.episodes[bins.bin_start[bin_number[packed]]]
        which[packed] = 0
        first_record = self._table.episode_record[episode]
        tokens = self._table.record_token[self._table.episode_record[episode + 1]]
        tokens = tokens - self._table.record_token[first_record]
        cuts = cut(tokens, self._table.timesteps[episode], self._context_length, self._mode)
        local = episode - self._table.dataset_episode[dataset]
        phase = combine(combine(self._phase_key[dataset], epoch), local)
        spans = span(cuts, tokens, which, phase, self._context_length)
        self._move_to_timesteps(episode, tokens, cuts, spans)
        bin_number = np.where(packed, bin_number, -1)
        return Windows(samples, dataset, draw, epoch, number, episode, spans, cuts, bin_number)

    def _move_to_timesteps(self, episode: Numbers, tokens: Numbers, cuts: Cuts, spans: Spans) -> None:
        """Move the cuts of episodes whose timesteps differ in length back to a timestep, where one is near."""
        some = np.flatnonzero(cuts.slack)
        bases = self._table.record_token[self._table.episode_record[episode[some]]]
        self._starts.expect(np.concatenate([bases + ends[some] for ends in (spans.start, spans.first, spans.last)]))
        for at in some.tolist():
            base = int(self._table.record_token[self._table.episode_record[episode[at]]])
            slack = int(cuts.slack[at])

            def moved(token: int, base: int = base, slack: int = slack) -> int:
                start = self._starts.at_or_before(base + token) - base
                return start if token - start <= slack else token

            first, last = int(spans.first[at]), int(spans.last[at])
            spans.first[at] = moved(first) if first else 0
            spans.last[at] = moved(last) if last < tokens[at] - 1 else last
            if spans.start[at] < first:
                spans.start[at] = self._starts.at_or_after(base + int(spans.start[at])) - base
            spans.start[at] = min(int(spans.start[at]), int(spans.first[at])) if first else 0


def packed_pieces(table: EpisodeTable, bins: Bins, windows: Windows) -> Pieces:
    """The pieces of all episodes but the first one of every window that is a bin."""
    row = np.flatnonzero(windows.bin_number >= 0)
    first = bins.bin_start[windows.bin_number[row]]
    count = bins.bin_start[windows.bin_number[row] + 1] - first
    entry = np.repeat(first, count) + within(count)
    episode = bins.episodes[entry]
    token = table.record_token[table.episode_record[episode]]
    length = table.record_token[table.episode_record[episode + 1]] - token
    running = np.cumsum(length) - length
    slot = running - np.repeat(running[np.cumsum(count) - count], count)
    later = within(count) > 0
    pieces = Pieces(np.repeat(row, count), slot, token, length, np.ones_like(slot), within(count))
    return pieces.take(later)


def within(counts: Numbers) -> Numbers:
    """0 .. count - 1 for each count, one after the other."""
    return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)


def whole_windows(table: EpisodeTable, windows: Windows) -> Pieces:
    """One piece for each window: no prompts, of a bin its first episode."""
    spans, count = windows.spans, len(windows.sample)
    base = table.record_token[table.episode_record[windows.episode]]
    return Pieces(
        row=np.arange(count),
        slot=np.zeros(count, np.int64),
        token=base + spans.start,
        length=spans.last - spans.start + 1,
        untrained=spans.first - spans.start + 1,
        segment=np.zeros(count, np.int64),
    )


def _keys(seed: int, purpose: str, names: Sequence[str]) -> Keys:
    return np.array([key(seed, purpose, name) for name in names], np.uint64)
