"""`inspect dataset DIR` on a terminal: where it came from, its splits, tasks and fields, what the values look like."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from gato_data.report.account import account_facts
from gato_data.report.dataset import DatasetSummary, FieldSummary, has_text, tokens_per_timestep
from gato_data.report.facts import dataset_facts, task_facts, totals
from gato_data.report.fields import full_name
from gato_data.report.printable import count, counted, printable, real, share, size
from gato_data.report.terminal.table import Cell, Column, print_facts, print_table
from gato_data.statistics import sum_counts
from gato_schemas.dataset import Manifest, TaskInfo
from gato_schemas.episode import Bound

TASKS = 10
"""Tasks described one by one; `--json` has them all."""
REASONS = 10
"""Reasons for leaving episodes out that are shown."""
_LEFT_OUT = (
    Column("episodes", number=True),
    *(Column(name) for name in ("stage", "reason", "first")),
)
_SPLITS = (
    Column("split"),
    *(Column(name, number=True) for name in ("shards", "size", "episodes", "timesteps", "tokens", "loss")),
)
_LAYOUT = (
    Column("tokens", number=True),
    *(Column(name) for name in ("field", "modality", "shape", "range", "loss")),
)
_STATISTICS = (
    Column("field"),
    *(Column(name, number=True) for name in ("low", "high", "mean", "std", "saturated", "NaN", "bins")),
    Column("error", number=True, optional=True),
)


def print_dataset(console: Console, summary: DatasetSummary) -> None:
    """Print a dataset."""
    manifest = summary.manifest
    console.print(Text(printable(manifest.name), "bold"), soft_wrap=True)
    print_facts(console, dataset_facts(manifest))
    heading(console, "Splits")
    print_table(console, _SPLITS, _splits(manifest))
    heading(console, "Totals")
    print_facts(console, totals(sum_counts(split.totals for split in manifest.splits.values())))
    shown = sorted(manifest.tasks)[:TASKS]
    for name in shown:
        fields = [field for field in summary.fields if field.task == name]
        _print_task(console, name, manifest.tasks[name], fields, manifest.tokenization)
    if hidden := len(manifest.tasks) - len(shown):
        console.print(f"\n... {counted(hidden, 'more task')}: --json has all of them", soft_wrap=True)
    heading(console, "Account")
    print_facts(console, account_facts(manifest))
    _print_left_out(console, summary)
    if summary.missing:
        heading(console, "Missing files")
        print_facts(console, [("", printable(line, 200)) for line in summary.missing])


def _print_left_out(console: Console, summary: DatasetSummary) -> None:
    """Why episodes were left out, and what to do about it."""
    if not summary.left_out:
        return
    heading(console, f"Left out: {counted(summary.manifest.dead_letters, 'episode')}")
    shown = summary.left_out[:REASONS]
    rows: list[list[Cell]] = [
        [count(found.episodes), printable(found.stage), printable(found.reason, 200), printable(found.first, 120)]
        for found in shown
    ]
    print_table(console, _LEFT_OUT, rows)
    if hidden := len(summary.left_out) - len(shown):
        console.print(f"... {counted(hidden, 'more reason')}: --json has all of them", soft_wrap=True)
    advice = "mended the input? The command that made the dataset, with --retry-dead-letters, makes those shards anew."
    console.print(advice, soft_wrap=True)


def heading(console: Console, text: str) -> None:
    """An empty line and a heading."""
    console.print()
    console.print(Text(text, "bold"), soft_wrap=True)


def _splits(manifest: Manifest) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for name, split in sorted(manifest.splits.items()):
        counts = split.totals
        rows.append(
            [
                printable(name),
                count(len(split.shards)),
                size(sum(shard.size for shard in split.shards)),
                count(counts.episodes),
                count(counts.timesteps) if counts.timesteps else "",
                count(counts.tokens),
                share(counts.loss_tokens, counts.tokens),
            ]
        )
    return rows


def _print_task(
    console: Console, name: str, task: TaskInfo, fields: Sequence[FieldSummary], tokenization: dict[str, Any]
) -> None:
    heading(console, f"Task {printable(name)}")
    facts = task_facts(task)
    if fields:
        text = " and those of its text" if has_text(task) else ""
        facts.append(("a timestep", f"{tokens_per_timestep(task)} tokens{text}, in this order:"))
    print_facts(console, facts)
    print_table(console, _LAYOUT, _layout(task, fields, tokenization) if fields else [])
    if fields:
        console.print("raw values, before any scaling or clipping:", soft_wrap=True)
    print_table(console, _STATISTICS, [_statistics(field) for field in fields])


def _layout(task: TaskInfo, fields: Sequence[FieldSummary], tokenization: dict[str, Any]) -> list[list[Cell]]:
    """A row for every part of a timestep, in token order."""
    ranges = {("observation", f.name): (f.low, f.high) for f in task.observations}
    ranges |= {("action", f.name): (f.low, f.high) for f in task.actions}
    rows = [(field.role, _layout_row(field, ranges[field.role, field.name], tokenization)) for field in fields]
    separator: list[Cell] = ["1", "separator", "", "", "", _yes(tokenization.get("loss_on_separator", False))]
    observations = [row for role, row in rows if role == "observation"]
    return [*observations, separator, *(row for role, row in rows if role == "action")]


def _layout_row(field: FieldSummary, scaled: tuple[Bound | None, Bound | None], settings: dict[str, Any]) -> list[Cell]:
    text = field.modality == "text" and settings.get("loss_on_text_observations", True)
    return [
        "some" if field.tokens is None else count(field.tokens),
        printable(full_name(field.role, field.name)),
        field.modality,
        "x".join(map(str, field.shape)),
        _range(*scaled),
        _yes(field.role == "action" or bool(text)),
    ]


def _range(low: Bound | None, high: Bound | None) -> str:
    if low is None or high is None:
        return ""
    if isinstance(low, tuple) or isinstance(high, tuple):
        return "its own for each element"
    return f"{real(low)} to {real(high)}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _statistics(field: FieldSummary) -> list[Cell]:
    return [
        printable(full_name(field.role, field.name)),
        *(real(value) for value in (field.low, field.high, field.mean, field.std)),
        "-" if field.saturated is None else share(field.saturated, 1),
        count(field.nan) if field.modality == "continuous" else "-",
        "-" if not field.bins_used else f"{field.bins_used}/{field.bins}",
        "" if field.error is None else real(field.error, 2),
    ]
