"""Which row of the token table stands for which id, where the table has not a row for every id."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gato_schemas.dataset import VocabularyInfo
from gato_schemas.sequence import Modality


@dataclass(frozen=True, slots=True)
class TableRows:
    """Ranges of ids, whose rows stand one after another in the table.

    Attributes:
        ranges: (first id, one past the last id) of each, ascending and disjoint; at least one.
    """

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def used(cls, vocabulary: VocabularyInfo, modalities: Iterable[Modality]) -> "TableRows":
        """The ids of some modalities; a patch has none. Text and discrete values may share theirs."""
        merged: list[tuple[int, int]] = []
        for first, end in sorted(vocabulary.id_range(kind) for kind in modalities if kind is not Modality.PATCH):
            if merged and first <= merged[-1][1]:
                first, end = merged[-1][0], max(end, merged.pop()[1])
            merged.append((first, end))
        return cls(tuple(merged))

    def __str__(self) -> str:
        """The ids in words."""
        return ", ".join(f"{first} to {end - 1}" for first, end in self.ranges)

    @property
    def size(self) -> int:
        """Rows of the table."""
        return sum(end - first for first, end in self.ranges)

    def rows(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of every id, in an array of the same shape; -1 where it has none."""
        if not self.ranges[1:]:
            first, end = self.ranges[0]
            return np.where((ids >= first) & (ids < end), ids - first, -1)
        firsts, ends, before = self._arrays()
        which = np.searchsorted(firsts, ids, side="right") - 1
        return np.where((which >= 0) & (ids < ends[which]), ids - firsts[which] + before[which], -1)

    def ids(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The id of every row, each in 0 .. size - 1, in an array of the same shape."""
        firsts, _, before = self._arrays()
        which = np.searchsorted(before, rows, side="right") - 1
        return rows - before[which] + firsts[which]

    def _arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """First id of each range, one past its last, and the rows before it."""
        firsts, ends = np.array(self.ranges, dtype=np.int64).T
        return firsts, ends, np.concatenate([[0], np.cumsum(ends - firsts)[:-1]])
