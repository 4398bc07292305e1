"""The planning pass of an array: every task scans its own parts, and then what nobody else has scanned.

No task waits for one that has not begun, so the tasks may also run one after the other; whichever
comes first then scans everything, and the others find it.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gato_pipelines.ingest.agreement import Agreement
from gato_pipelines.ingest.array_task import ArrayTask
from gato_pipelines.ingest.places import at_work
from gato_pipelines.ingest.scan_job import PartKey, ScanJob
from gato_pipelines.ingest.settings import IngestSettings
from gato_pipelines.remote.output import RemoteOutput
from gato_pipelines.source import PartScan

_PAUSE = (0.05, 5.0)
"""Shortest and longest time between two looks for what the others have scanned, in seconds."""


@dataclass(frozen=True, kw_only=True)
class SharedScan(ScanJob):
    """The planning pass over all parts, of which other tasks do some.

    Attributes:
        agreement: of the tasks.
    """

    agreement: Agreement

    @property
    def _task(self) -> ArrayTask:
        return self.agreement.task

    def run(self, settings: IngestSettings, again: Collection[PartKey] = ()) -> list[PartScan]:
        """Scan every part that no other task scans; `again` is for one process alone."""
        parts, notes, start = len(self.parts), self.work.folder / self._task.folder, time.monotonic()
        self.run_over(self._missing(self._task.mine(parts)), self.write, settings, notes)
        self._await_others(time.monotonic() - start)
        self.run_over(self._missing(self._task.others(parts)), self.write, settings, notes)
        return [self.written(number) for number in range(parts)]

    def write(self, number: int) -> None:
        """Scan one part, unless another task has done so; leave the result where all find it."""
        with at_work(self.inputs, self.work):
            if self._missing([number]):
                super().write(number)

    def _missing(self, numbers: Sequence[int]) -> list[int]:
        missing = [number for number in numbers if self.stored(number) is None]
        if missing and isinstance(self.work.out, RemoteOutput):
            self.work.out.pull_scans({self.name(number) for number in missing})
            missing = [number for number in missing if self.stored(number) is None]
        return missing

    def _await_others(self, seconds: float) -> None:
        """Wait until the tasks that have begun have scanned their parts, no longer than it took this one."""
        deadline = time.monotonic() + seconds
        pause = min(max(seconds / 10, _PAUSE[0]), _PAUSE[1])
        begun = self.agreement.begun() - {self._task.number}
        theirs = [number for number in self._task.others(len(self.parts)) if number % self._task.of + 1 in begun]
        while (theirs := self._missing(theirs)) and time.monotonic() + pause < deadline:
            time.sleep(pause)
