"""What reading the input will find, told before anything is written: bad fields, clipped actions, short episodes."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gato_data.printable import share
from gato_pipelines.control.bad_fields import way_out
from gato_pipelines.control.final_step import add_ends, kept_groups
from gato_pipelines.control.sequence_lengths import Role, field_key
from gato_pipelines.part_scan import Outside, PartScan
from gato_schemas.account import Note
from gato_schemas.dataset import FinalStep, TaskInfo
from gato_schemas.episode import Field
from gato_schemas.selection import Resampling

MANY_SHORT = 0.1
"""Share of one-timestep episodes from which on something is likely to be wrong with where episodes
end."""


class OutsideBuilder:
    """Counts the values of a field that lie outside a range."""

    def __init__(self, low: float, high: float) -> None:
        self._range = (low, high)
        self._found = Outside()

    def add(self, values: NDArray[np.floating]) -> None:
        """Add values; those that are not finite do not count."""
        finite = values[np.isfinite(values)]
        if len(finite):
            outside = int(np.count_nonzero((finite < self._range[0]) | (finite > self._range[1])))
            more = Outside(len(finite), outside, float(finite.min()), float(finite.max()))
            self._found = _sum((self._found, more))

    def result(self) -> Outside:
        """The counts so far."""
        return self._found


def _sum(counts: Iterable[Outside]) -> Outside:
    found = [count for count in counts if count.values]
    return Outside(
        sum(count.values for count in found),
        sum(count.outside for count in found),
        min((count.low for count in found if count.low is not None), default=None),
        max((count.high for count in found if count.high is not None), default=None),
    )


def expected_notes(name: str, task: TaskInfo, scans: Sequence[PartScan]) -> Iterator[Note]:
    """What reading the episodes of a task will find, as far as its scans tell."""
    yield from _troubles(task, scans)
    yield from _clipped(name, task, scans)
    if task.resampling is not None and (idle := sum(scan.idle for scan in scans)):
        yield idle_note(name, task.resampling, idle)
    ends = add_ends([scan.ends for scan in scans])
    terminal, others = ends.terminal_ones, ends.ones - ends.terminal_ones
    policy = task.final_step.policy if task.final_step is not None else "keep"
    if policy != "keep":
        terminal = ends.terminal_twos
    if policy == "drop":
        others = ends.twos - ends.terminal_twos
    if short := terminal + others:
        many = short >= MANY_SHORT * ends.episodes
        hint = f", {share(short, ends.episodes)} of them: does the input say where episodes end?" if many else ""
        yield Note("short", f"episodes of task {name} are one timestep long{hint}", short)


def idle_note(task: str, asked: Resampling, count: int) -> Note:
    """A line of the account for idle timesteps that are left out."""
    return Note("left-out", f"timesteps of task {task} are idle (they move less than {asked.idle_below:g})", count)


def _troubles(task: TaskInfo, scans: Sequence[PartScan]) -> Iterator[Note]:
    for field in (*task.observations, *task.actions):
        found = [scan.troubles[field.name] for scan in scans if field.name in scan.troubles]
        if found:
            option = way_out(task, field.name)
            advice = f" ({option} leaves the field out)" if option else ""
            text = f"episodes that cannot be used, because {found[0].reason}{advice}"
            yield Note("left-out", text, sum(trouble.episodes for trouble in found))


def _clipped(name: str, task: TaskInfo, scans: Sequence[PartScan]) -> Iterator[Note]:
    final_step = task.final_step or FinalStep("keep", "")
    roles: tuple[tuple[Role, list[Field]], ...] = (("observations", task.observations), ("actions", task.actions))
    for role, field in ((role, field) for role, fields in roles for field in fields):
        key, word = field_key(role, field), role.removesuffix("s")
        groups = [scan.outside[key] for scan in scans if key in scan.outside]
        total = _sum(piece for group in groups for piece in kept_groups(*group, final_step))
        if total.outside:
            text = (
                f"{share(total.outside, total.values)} of the values of {word} {field.name!r} of task {name!r} lie "
                f"outside its range (they reach from {total.low:g} to {total.high:g}): --{word}-range minmax or "
                "LOW:HIGH maps a wider one"
            )
            yield Note("clipped", text, total.outside)
