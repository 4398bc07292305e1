"""What the page of a mixture shows: the plan, then every dataset with a few of its episodes."""

from typing import Any

from gato_data.printable import printable
from gato_data.report.dataset import summarize_dataset
from gato_data.report.html.content import dataset_content
from gato_data.report.mixture import PLAN_COLUMNS, MixtureSummary, mixture_facts, run_line, stage_columns
from gato_data.report.quality import Thresholds, judge
from gato_data.report.table import cells

DATASETS = 30
"""Datasets shown one by one."""
WEIGHTS = 8
"""Weights of a stage that are shown, the largest."""


def mixture_content(summary: MixtureSummary) -> dict[str, Any]:
    """The plan as plain values."""
    return {
        "name": printable(summary.path.name),
        "facts": [*mixture_facts(summary), ("a run", run_line(summary.plan))],
        "columns": [[column.heading, column.number] for column in PLAN_COLUMNS],
        "rows": cells(PLAN_COLUMNS, summary.plan.datasets),
        "shares": [[printable(row.name), row.window_share] for row in summary.plan.datasets],
        "stages": cells(stage_columns(summary.mixture, WEIGHTS), summary.mixture.stages),
        "shown": _largest(summary),
        "hidden": max(len(summary.mixture.datasets) - DATASETS, 0),
    }


def _largest(summary: MixtureSummary) -> list[int]:
    """Numbers of the datasets that are shown one by one: those with the largest shares, in the mixture's order."""
    shares = [row.window_share for row in summary.plan.datasets]
    return sorted(sorted(range(len(shares)), key=lambda number: (-shares[number], number))[:DATASETS])


def mixed_datasets(summary: MixtureSummary, limit: int) -> list[dict[str, Any]]:
    """The content of every dataset, `limit` episodes over all of them; they share the page's budget.

    Raises:
        FormatError: a dataset is damaged.
    """
    shown = _largest(summary)
    contents = []
    for number in shown:
        dataset = summarize_dataset(summary.folder(number))
        quality = judge(dataset, Thresholds())
        contents.append(dataset_content(dataset, quality, max(limit // len(shown), 1), 1 / len(shown)))
    return contents
