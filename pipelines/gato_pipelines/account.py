"""The part of a dataset's account that is found while episodes are read and tokenized."""

from collections import Counter
from collections.abc import Iterable, Iterator

from gato_pipelines.source import Item, Plan
from gato_schemas.account import Note, merge_notes
from gato_schemas.sequence import TokenSequence
from gato_schemas.statistics import FieldStatistics

MANY_SHORT = 0.1
"""Share of one-timestep episodes from which on something is likely to be wrong with where episodes end."""


class PartAccount:
    """Gathers the notes of one part; memory does not grow with its episodes."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._notes: dict[tuple[str, str], Note] = {}
        self._counts: Counter[str] = Counter()

    def add_item(self, item: Item) -> None:
        """Take the notes of an item."""
        for note in item.notes:
            known = self._notes.get((note.kind, note.text))
            self._notes[note.kind, note.text] = merge_notes([known, note])[0] if known else note

    def add_sequence(self, sequence: TokenSequence) -> None:
        """Count an episode or document that became tokens."""
        self._counts["short"] += sequence.num_timesteps == 1

    def result(self) -> list[Note]:
        """The notes so far."""
        found = list(self._notes.values())
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
    return merge_notes([*plan.notes, *_filtered(plan), *parts, *_clipped(statistics)])


def _filtered(plan: Plan) -> Iterator[Note]:
    for name, task in plan.tasks.items():
        if task.filter is not None and task.filter.dropped:
            yield Note("left-out", f"episodes of task {name} did not pass its filter", task.filter.dropped)


def _clipped(statistics: Iterable[FieldStatistics]) -> Iterator[Note]:
    for row in statistics:
        if clipped := sum(row.saturated):
            yield Note("clipped", f"values of {row.role} {row.field} of task {row.task} lie outside its range", clipped)
