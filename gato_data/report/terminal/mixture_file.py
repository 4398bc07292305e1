"""`inspect mixture FILE` on a terminal: its datasets, its stages, and what a run reads."""

from rich.console import Console
from rich.text import Text

from gato_data.report.mixture import MixtureSummary, mixture_facts, stage_rows
from gato_data.report.printable import printable
from gato_data.report.terminal.dataset import heading
from gato_data.report.terminal.mixture import print_plan
from gato_data.report.terminal.table import Column, print_facts, print_table

_STAGES = (Column("from sample", number=True), Column("shares of"), Column("weights"))


def print_mixture(console: Console, summary: MixtureSummary) -> None:
    """Print a mixture."""
    console.print(Text(printable(summary.path.name), "bold"), soft_wrap=True)
    print_facts(console, mixture_facts(summary))
    print_facts(console, [(printable(d.name), printable(d.path, 200)) for d in summary.mixture.datasets], indent="  ")
    heading(console, "Weights")
    print_table(console, _STAGES, stage_rows(summary))
    heading(console, "A run")
    print_plan(console, summary.plan)
