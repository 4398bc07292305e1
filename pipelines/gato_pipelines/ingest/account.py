"""The part of a dataset's account that is found while episodes are read and tokenized."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from gato_data.statistics import clipped_notes
from gato_pipelines.source import Item, Plan
from gato_schemas.account import Note, merge_notes
from gato_schemas.dataset import TaskInfo
from gato_schemas.sequence import Modality, TokenSequence
from gato_schemas.statistics import FieldStatistics

MANY_UNKNOWN = 0.01
"""Share of text tokens that are no piece from which on the text model is likely to be the wrong
one."""


class PartAccount:
    """Gathers the notes of one part; memory does not grow with its episodes.

    `unknown_id` is the text model's piece of characters that it does not know, None where it knows
    all.
    """

    def __init__(self, task: str, unknown_id: int | None = None) -> None:
        self._task, self._unknown_id = task, unknown_id
        self._notes: list[Note] = []
        self._counts: Counter[str] = Counter()

    def add_item(self, item: Item) -> None:
        """Take the notes of an item."""
        if item.notes:
            self._notes = merge_notes([*self._notes, *item.notes])

    def add_sequence(self, sequence: TokenSequence) -> None:
        """Count an episode or document that became tokens."""
        self._counts["short"] += sequence.num_timesteps == 1
        if self._unknown_id is not None:
            texts = sequence.tokens[sequence.modality == Modality.TEXT]
            self._counts["unknown"] += int(np.count_nonzero(texts == self._unknown_id))

    def result(self) -> list[Note]:
        """The notes so far."""
        found = [*self._notes]
        if unknown := self._counts["unknown"]:
            found.append(Note("unknown", f"text tokens of task {self._task} are no piece of the text model", unknown))
        if short := self._counts["short"]:
            found.append(Note("short", f"episodes of task {self._task} are one timestep long", short))
        return merge_notes(found)


def dataset_account(plan: Plan, parts: Iterable[Note], statistics: Iterable[FieldStatistics]) -> list[Note]:
    """The account of a whole dataset.

    Args:
        plan: of the dataset.
        parts: notes of all parts, in their order.
        statistics: of the dataset.
    """
    return merge_notes([*plan.notes, *filtered_notes(plan.tasks), *parts, *clipped_notes(statistics)])


def filtered_notes(tasks: Mapping[str, TaskInfo]) -> Iterator[Note]:
    """A line of the account for every task of which a filter left out episodes."""
    for name, task in tasks.items():
        if task.filter is not None and task.filter.dropped:
            yield Note("left-out", f"episodes of task {name} did not pass its filter", task.filter.dropped)
