"""How commands show how far they are: a bar on a terminal, one line a minute anywhere else."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from gato_data.printable import MAX_LINE, count, counted, printable, size
from gato_data.report.terminal.console import open_console

if TYPE_CHECKING:
    from gato_pipelines.ingest.progress import StageProgress

_STAGES = {"scan": "scanning", "write": "writing"}
_BAR_COLUMNS = 12
"""Narrowest bar that says anything; figures that leave less room for it are left out."""
_BAR_SECONDS, _LINE_SECONDS = 0.25, 60.0


class StageBar:
    """Draws on one stream; a context manager, so that the bar is taken away however the work ends.

    Args:
        file: where; a bar is drawn if it is a terminal that can move its cursor.

    Attributes:
        every: seconds between two calls of `draw`: more of them would not be seen, or fill a log.
    """

    def __init__(self, file: TextIO) -> None:
        self._console = open_console(file)
        self._bar: Bar | None = None
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(None), TextColumn("{task.fields[figures]}"))
            self._bar = Bar(*columns, console=self._console, transient=True, auto_refresh=False, expand=True)
        self.every = _LINE_SECONDS if self._bar is None else _BAR_SECONDS

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        self._console.print(printable(line, MAX_LINE), soft_wrap=True)

    def draw(self, stage: str, share: float, figures: list[str]) -> None:
        """Draw the bar anew, or print a line unless the stage is at its end.

        Args:
            stage: what is done, as "writing".
            share: how much of it is, in [0, 1].
            figures: the most important first; a bar has room for the first ones only.
        """
        if self._bar is None:
            if share < 1:
                self.say(f"{stage}: {share:.0%}, {', '.join(figures)}")
            return
        room = self._console.width - len(stage) - _BAR_COLUMNS - 2
        while figures and len(", ".join(figures)) > room:
            figures = figures[:-1]
        if not self._bar.task_ids:
            self._bar.add_task(stage, total=1.0, figures="")
        self._bar.update(
            self._bar.task_ids[0], description=stage, completed=share, figures=", ".join(figures), refresh=True
        )


class IngestProgress(StageBar):
    """Shows how far an ingest is."""

    def show(self, progress: "StageProgress") -> None:
        """Called by the thread that watches the ingest."""
        self.draw(_STAGES[progress.stage], progress.share, ingest_figures(progress))


class RecordProgress(StageBar):
    """Shows how far a recording is.

    Args:
        file: where.
        episodes: how many are wanted.
    """

    def __init__(self, file: TextIO, episodes: int) -> None:
        super().__init__(file)
        self._episodes = episodes
        self._start = self._drawn = time.monotonic()

    def show(self, episodes: int, timesteps: int) -> None:
        """Called after every episode, with the episodes and timesteps so far."""
        now = time.monotonic()
        if now - self._drawn < self.every:
            return
        self._drawn, share = now, episodes / self._episodes
        left = duration((now - self._start) * (1 - share) / share)
        figures = [
            f"{episodes:,}/{counted(self._episodes, 'episode')}",
            f"{left} left",
            f"{count(timesteps)} timesteps",
        ]
        self.draw("recording", share, figures)


class CopyProgress(StageBar):
    """Shows how far copying the shards of a dataset is."""

    def __init__(self, file: TextIO) -> None:
        super().__init__(file)
        self._start = self._drawn = time.monotonic()

    def show(self, done: int, shards: int) -> None:
        """Called before every shard, with how many are written and how many there will be."""
        now = time.monotonic()
        if not done or now - self._drawn < self.every:
            return
        self._drawn = now
        left = duration((now - self._start) * (shards - done) / done)
        self.draw("copying", done / shards, [f"{done:,}/{counted(shards, 'shard')}", f"{left} left"])


def ingest_figures(progress: "StageProgress") -> list[str]:
    """What is known of the progress, the most important first."""
    found = [f"{progress.parts_done:,}/{counted(progress.parts, 'part')}"]
    if progress.seconds_left is not None and progress.share < 1:
        found.append(f"{duration(progress.seconds_left)} left")
    if progress.stage == "scan":
        return found
    found.append(f"{progress.episodes_done:,}/{counted(progress.episodes, 'episode')}")
    if progress.tokens is not None:
        found.append(f"{count(progress.tokens)} tokens")
    found.append(f"{size(round(progress.bytes_per_second))}/s")
    return found


def duration(seconds: float) -> str:
    """About how long: "45 s", "12 min", "3 h 20 min", "2 days"."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{round(minutes / 1440)} days"
