"""Prompt conditioning (paper section 2.3): a piece of another episode of the same task and agent goes first.

Which draws get a prompt is exact, not left to chance: among the first k draws of a dataset floor(k share + phase)
have one, likewise for prompts from the end of an episode. Prompt and window share the context; where both do not fit,
the window keeps a random part of its timesteps. Documents, windows of packed episodes or with a limited history, and
episodes that are the only one of their task and agent get none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gato_data.permutation import Keys, Numbers, below, combine, key
from gato_data.reading.history import ANY, limits
from gato_data.reading.pieces import Pieces, Windows, whole_windows
from gato_data.reading.settings import ReadSettings
from gato_data.reading.timesteps import TimestepStarts
from gato_data.reading.windows import Cuts, cut
from gato_data.shards.episodes import EpisodeTable

_ONE = 2**20
"""Shares are multiples of 2**-20, so that their products with a draw number are exact."""
_OTHER, _PLACE, _REST = range(3)


@dataclass(frozen=True, slots=True, eq=False)
class Prompts:
    """Prompts of some windows; int64 (N,) unless said.

    Attributes:
        row: the window that gets the prompt.
        episode: where the prompt comes from.
        start, length: its tokens in that episode; no length is 0.
        from_end: bool (N,), whether it is the end of that episode.
    """

    row: Numbers
    episode: Numbers
    start: Numbers
    length: Numbers
    from_end: NDArray[np.bool_]

    def take(self, which: NDArray[np.bool_]) -> "Prompts":
        """Some of the prompts."""
        return Prompts(*(getattr(self, name)[which] for name in self.__slots__))


class Prompter:
    """Adds prompts to windows.

    Args:
        table: the episodes of the mixture.
        names: of the datasets.
        starts: where timesteps start, in episodes where that has to be read.
        settings: context length, shares, lengths and seed.
    """

    def __init__(
        self, table: EpisodeTable, names: Sequence[str], starts: TimestepStarts, settings: ReadSettings
    ) -> None:
        self._table, self._starts, self._settings = table, starts, settings
        self._keys: Keys = np.array([key(settings.seed, "prompt", name) for name in names], np.uint64)
        self._phase = below(self._keys, _ONE)
        most = limits(settings.history, names)
        self._prompted = np.ones(len(names), np.bool_) if most is None else most == ANY
        self._share = round(settings.prompt_share * _ONE)
        self._end_share = round(settings.prompt_end_share * _ONE)
        self._members = np.argsort(table.group, kind="stable").astype(np.int32)
        groups = int(table.group.max()) + 1 if len(table.group) else 0
        self._group_start = np.concatenate([[0], np.cumsum(np.bincount(table.group, minlength=groups))])
        self._place = np.empty_like(self._members)
        self._place[self._members] = np.arange(len(self._members)) - self._group_start[table.group[self._members]]

    def choose(self, windows: Windows) -> Prompts:
        """The prompts of those windows that get one, in the order of the windows."""
        before = windows.draw * self._share + self._phase[windows.dataset]
        chosen = (before + self._share) // _ONE > before // _ONE
        group = self._table.group[windows.episode]
        size = self._group_start[group + 1] - self._group_start[group]
        alone = (windows.bin_number < 0) & self._prompted[windows.dataset]
        row = np.flatnonzero(chosen & alone & (size > 1) & (self._table.timesteps[windows.episode] > 0))
        count = (before // _ONE)[row] * self._end_share
        from_end = (count + self._end_share) // _ONE > count // _ONE
        keys = combine(self._keys[windows.dataset[row]], windows.draw[row])
        pick = below(combine(keys, _OTHER), size[row] - 1)
        pick += pick >= self._place[windows.episode[row]]
        episode = self._members[self._group_start[group[row]] + pick].astype(np.int64)
        return self._cut(row, episode, from_end, combine(keys, _PLACE))

    def _cut(self, row: Numbers, episode: Numbers, from_end: NDArray[np.bool_], keys: Keys) -> Prompts:
        settings, table = self._settings, self._table
        tokens, base = self._extent(episode)
        cuts = cut(tokens, table.timesteps[episode], settings.context_length, settings.window)
        length = np.minimum(settings.most_prompt_tokens // cuts.unit * cuts.unit, tokens)
        places = (tokens - length) // cuts.unit + 1
        start = np.where(from_end, tokens - length, cuts.unit * below(keys, places))
        some = np.flatnonzero((cuts.slack > 0) & (length > 0))
        self._starts.expect(np.concatenate([(base + start)[some], (base + start + length)[some]]))
        for at in some.tolist():
            first, end = int(base[at] + start[at]), int(base[at] + start[at] + length[at])
            begin = self._starts.at_or_after(first)
            if end < base[at] + tokens[at]:
                end = self._starts.at_or_before(end)
            start[at], length[at] = begin - base[at], max(0, end - begin)
        prompts = Prompts(row, episode, start, length, from_end)
        return prompts.take(length > 0)

    def _extent(self, episode: Numbers) -> tuple[Numbers, Numbers]:
        """Tokens of each episode, and its first token counted through the mixture."""
        base = self._table.record_token[self._table.episode_record[episode]]
        return self._table.record_token[self._table.episode_record[episode + 1]] - base, base

    def pieces(self, windows: Windows) -> Pieces:
        """The pieces of all windows, with the prompts of those that get one."""
        main = whole_windows(self._table, windows)
        if not self._share:
            return main
        prompts = self.choose(windows)
        if not len(prompts.row):
            return main
        self._make_room(main, windows, prompts)
        _, base = self._extent(prompts.episode)
        trained_from = np.ones_like(prompts.length) if self._settings.prompt_loss else prompts.length
        zeros = np.zeros_like(prompts.row)
        return Pieces.join(
            [Pieces(prompts.row, zeros, base + prompts.start, prompts.length, trained_from, zeros), main]
        )

    def _make_room(self, main: Pieces, windows: Windows, prompts: Prompts) -> None:
        """Move prompted windows behind their prompts; drop first the context of the last window, then timesteps."""
        row, room = prompts.row, self._settings.context_length + 1 - prompts.length
        cuts, spans = windows.cuts.take(row), windows.spans
        start, first, last = spans.start[row], spans.first[row], spans.last[row]
        _, base = self._extent(windows.episode[row])
        start = np.where(last - start + 1 > room, first, start)
        long = last - start + 1 > room
        kept = np.minimum(np.maximum(room // cuts.unit, 1) * cuts.unit, room)
        places = np.maximum((last - first + 1 - kept) // cuts.unit, 0) + 1
        keys = combine(combine(self._keys[windows.dataset[row]], windows.draw[row]), _REST)
        begin = np.where(long, first + cuts.unit * below(keys, places), start)
        begin = self._at_timesteps(begin, first, base, cuts, long)
        end = np.where(long, np.minimum(begin + np.where(cuts.slack > 0, room, kept) - 1, last), last)
        main.slot[row] = prompts.length
        main.token[row] = base + begin
        main.length[row] = end - begin + 1
        main.untrained[row] = np.where(long, 1, first - begin + 1)

    def _at_timesteps(
        self, begin: Numbers, first: Numbers, base: Numbers, cuts: Cuts, long: NDArray[np.bool_]
    ) -> Numbers:
        some = np.flatnonzero(long & (cuts.slack > 0))
        self._starts.expect((base + begin)[some])
        for at in some.tolist():
            moved = self._starts.at_or_before(int(base[at] + begin[at])) - int(base[at])
            begin[at] = max(moved, int(first[at]))
        return begin
