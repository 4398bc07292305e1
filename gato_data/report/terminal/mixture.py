"""A mixture on a terminal: its datasets, its stages, and what a run reads of each dataset."""

from rich.console import Console
from rich.text import Text

from gato_data.mixing.plan import MixturePlan
from gato_data.printable import count, printable
from gato_data.report.mixture import PLAN_COLUMNS, MixtureSummary, mixture_facts, run_line, stage_columns
from gato_data.report.table import Cell
from gato_data.report.terminal.table import print_facts, print_heading, print_table


def print_mixture(console: Console, summary: MixtureSummary) -> None:
    """Print a mixture."""
    mixture = summary.mixture
    console.print(Text(printable(summary.path.name), "bold"), soft_wrap=True)
    print_facts(console, mixture_facts(summary))
    print_facts(console, [(printable(d.name), printable(d.path, 200)) for d in mixture.datasets], indent="  ")
    print_heading(console, "Weights")
    print_table(console, stage_columns(mixture), mixture.stages)
    print_heading(console, "A run")
    print_plan(console, summary.plan)


def print_plan(console: Console, plan: MixturePlan) -> None:
    """Print what a run reads of each dataset, and in all."""
    print_table(console, PLAN_COLUMNS, plan.datasets, last=_together(plan))
    console.print()
    console.print(f"{run_line(plan)}.", soft_wrap=True)


def _together(plan: MixturePlan) -> list[Cell]:
    rows = plan.datasets
    sums = [sum(getattr(row, name) for row in rows) for name in ("windows", "tokens", "loss_tokens")]
    shares = [f"{sum(getattr(row, name) for row in rows):.2%}" for name in ("asked", "realised")]
    return [Text("together", "dim"), "", *shares, *map(count, sums), "", ""]
