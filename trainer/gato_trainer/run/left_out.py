"""What a run leaves out of its training: said, counted, and in `log.jsonl` by episode."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from gato_trainer.config import TrainSettings
from gato_trainer.data.batches import BatchSource, described
from gato_trainer.run.progress import Log
from gato_trainer.run.spikes import Spike

_NAMED = 3
"""Windows of a step that its line names; all are in the log."""


class LeftOut:
    """Tells of windows that were left out.

    Attributes:
        windows: how many, since the run was started or continued.
    """

    def __init__(self, settings: TrainSettings, source: BatchSource, log: Log) -> None:
        self._settings, self._source, self._log = settings, source, log
        self.windows = self._before = 0

    def since_last(self) -> int:
        """How many since the last call."""
        since, self._before = self.windows - self._before, self.windows
        return since

    def step(self, step: int) -> None:
        """Tell of all windows of a step, from 0, that `skip_steps` names."""
        size = self._settings.batch_size
        samples = range(step * size, (step + 1) * size)
        windows = described(self._source, samples) if self._log.first else []
        names = sorted({window["dataset"] for window in windows if window["dataset"]})
        of = f" of {', '.join(names[:_NAMED])}{_others(len(names))}" if names else ""
        line = f"step {step + 1}: its {size} windows{of} are left out, as --skip-steps {self._settings.skip_steps} says"
        self._write(step, "skip_steps", windows, size, line)

    def spikes(self, spikes: Sequence[Spike]) -> None:
        """Tell of windows that `skip_spikes` left out, in order of their steps."""
        for step, found in groupby(spikes, key=lambda spike: spike.step):
            worst = sorted(found, key=lambda spike: spike.limit - spike.loss)
            windows = [self._window(spike) for spike in worst] if self._log.first else []
            named = "; ".join(map(_named, windows[:_NAMED])) + _others(len(worst))
            count = "a window is" if len(worst) == 1 else f"{len(worst)} windows are"
            why = f"{self._settings.skip_spikes:g} deviations above what is usual"
            self._write(step, "skip_spikes", windows, len(worst), f"step {step + 1}: {count} left out, {why}: {named}")

    def _write(self, step: int, reason: str, windows: list[dict[str, Any]], count: int, line: str) -> None:
        self.windows += count
        self._log.write("skipped", {"step": step + 1, "reason": reason, "windows": windows}, line)

    def _window(self, spike: Spike) -> dict[str, Any]:
        [window] = described(self._source, range(spike.sample, spike.sample + 1))
        dataset = self._source.dataset_names[spike.dataset]
        return {**window, "dataset": dataset, "loss": spike.loss, "limit": spike.limit}


def _others(count: int) -> str:
    return f" and {count - _NAMED} others, see log.jsonl" if count > _NAMED else ""


def _named(window: dict[str, Any]) -> str:
    """One window in words."""
    pieces = [piece for piece in window["pieces"] if piece["role"] != "prompt"]
    where = f"sample {window['sample']}"
    if pieces:
        where = f"episode {pieces[0]['episode_id']} from token {pieces[0]['tokens'][0]:,}"
    return f"{window['dataset']}, {where} (loss {window['loss']:.3f}, limit {window['limit']:.3f})"
