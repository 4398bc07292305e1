"""What `mix` prints: one line a dataset, and the run below."""

import json
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from gato_data.mixing.plan import MixturePlan, PlannedDataset
from gato_data.report.printable import count, printable
from gato_data.report.terminal.table import Cell, Column, print_table

_COLUMNS = (
    Column("dataset"),
    Column("family", optional=True),
    Column("asked", number=True),
    Column("realised", number=True),
    Column("windows", number=True),
    Column("tokens", number=True),
    Column("loss tokens", number=True),
    Column("passes", number=True),
    Column("repeats at step", number=True),
)


def print_plan(console: Console, plan: MixturePlan) -> None:
    """Print what a run reads of each dataset, and in all."""
    print_table(console, _COLUMNS, [*map(_row, plan.datasets), _total(plan)])
    console.print()
    windows = plan.steps * plan.batch_size
    console.print(
        f"{count(plan.steps)} steps of {count(plan.batch_size)} windows of {count(plan.context_length)} tokens "
        f"({count(windows)} windows, cut at {plan.window}s); shares are of {plan.measure.replace('-', ' ')}.",
        soft_wrap=True,
    )


def _row(dataset: PlannedDataset) -> list[Cell]:
    return [
        printable(dataset.name),
        printable(dataset.family),
        f"{dataset.asked:.2%}",
        f"{dataset.realised:.2%}",
        count(dataset.windows),
        count(dataset.tokens),
        count(dataset.loss_tokens),
        f"{dataset.passes:,.2f}",
        "never" if dataset.first_repeat is None else count(dataset.first_repeat),
    ]


def _total(plan: MixturePlan) -> list[Cell]:
    rows = plan.datasets
    sums = [sum(getattr(row, name) for row in rows) for name in ("windows", "tokens", "loss_tokens")]
    shares = [f"{sum(getattr(row, name) for row in rows):.2%}" for name in ("asked", "realised")]
    return [Text("together", "dim"), "", *shares, *map(count, sums), "", ""]


def plan_json(plan: MixturePlan, out: Path | None) -> str:
    """The plan as one JSON object; `out` is null where nothing was written."""
    answer: dict[str, Any] = {"out": None if out is None else str(out), **msgspec.to_builtins(plan)}
    return json.dumps(answer, indent=2, ensure_ascii=True)
