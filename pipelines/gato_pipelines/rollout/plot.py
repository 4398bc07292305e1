"""The scores of all tasks in one picture."""

from pathlib import Path
from typing import Any

import numpy as np

from gato_data.errors import MissingPackageError
from gato_data.printable import printable
from gato_pipelines.rollout.scores import Scores, TaskScore
from gato_pipelines.rollout.statistics import Z

_MOST_BARS = 40
"""Tasks that have room for a bar each."""


def plot_scores(scores: Scores, path: Path) -> bool:
    """Draw how many tasks lie above a share of the expert's score (paper, figure 5), and every task's own.

    Returns:
        Whether there is anything to draw.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    found = [task for task in scores.tasks if task.normalised is not None]
    if not found:
        return False
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError("the plot of scores needs matplotlib: pip install 'gato-data[train]'") from error
    bars = len(found) <= _MOST_BARS
    height = max(3.5, 1.2 + 0.3 * len(found)) if bars else 4
    figure = Figure(figsize=(10 if bars else 6, height), layout="constrained")
    axes = figure.subplots(1, 2 if bars else 1, squeeze=False)[0]
    _draw_shares(axes[0], found)
    if bars:
        _draw_tasks(axes[1], found)
    FigureCanvasAgg(figure).print_png(str(path))
    return True


def _draw_shares(axes: Any, found: list[TaskScore]) -> None:
    """Share of tasks above every percentage of the expert's score."""
    values = np.array([_percent(task)[0] for task in found])
    at = np.linspace(0, max(100.0, values.max()), 501)
    for family in ("", *sorted({task.family for task in found})):
        chosen = np.array([not family or task.family == family for task in found])
        shares = [100 * float((values[chosen] >= least).mean()) for least in at]
        label = _plain(f"{family or 'all'} ({chosen.sum()})")
        axes.step(at, shares, where="post", label=label, linewidth=1 if family else 2.5, alpha=0.8 if family else 1)
    axes.set_xlabel("score, % of the expert's (0: chance)")
    axes.set_ylabel("tasks above it, %")
    axes.set_ylim(0, 104)
    axes.set_xlim(0, at[-1])
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="best")


def _draw_tasks(axes: Any, found: list[TaskScore]) -> None:
    """The score of every task with its interval of 95 %."""
    ordered = sorted(found, key=lambda task: _percent(task)[0])
    values, errors = np.array([_percent(task) for task in ordered]).T
    places = np.arange(len(ordered))
    axes.barh(places, values, xerr=errors, color="tab:blue", alpha=0.7, height=0.6, capsize=3)
    axes.axvline(100, color="black", linewidth=1, linestyle="--")
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(places, [_plain(task.task) for task in ordered])
    axes.set_ylim(-0.7, len(ordered) - 0.3)
    axes.set_xlabel("score, % of the expert's, with its 95 % interval")
    axes.grid(alpha=0.3, axis="x")


def _plain(text: str) -> str:
    """A text that matplotlib takes for no formula."""
    return printable(text).replace("$", r"\$")


def _percent(task: TaskScore) -> tuple[float, float]:
    """A task's score and half its interval."""
    assert task.normalised is not None, "only tasks with a score are drawn"
    return 100 * task.normalised.value, 100 * Z * (task.normalised.error or 0.0)
