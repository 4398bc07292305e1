"""`inspect dataset DIR` on a terminal: where it came from, its splits, tasks and fields, what the values look like."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from gato_data.printable import count, counted, printable, real, share, yes_no
from gato_data.report.account import account_facts
from gato_data.report.dataset import DatasetSummary, FieldSummary
from gato_data.report.dead_letters import Reason
from gato_data.report.facts import dataset_facts, split_columns, task_facts, totals
from gato_data.report.fields import full_name
from gato_data.report.quality import Quality
from gato_data.report.table import TableColumn
from gato_data.report.terminal.quality import print_quality
from gato_data.report.terminal.table import print_facts, print_heading, print_table
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Bound

TASKS = 10
"""Tasks described one by one; `--json` has them all."""
REASONS = 10
"""Reasons for leaving episodes out that are shown."""


def print_dataset(console: Console, summary: DatasetSummary, quality: Quality) -> None:
    """Print a dataset and what is wrong with it."""
    manifest = summary.manifest
    console.print(Text(printable(manifest.name), "bold"), soft_wrap=True)
    print_facts(console, dataset_facts(manifest))
    print_heading(console, "Splits")
    print_table(console, split_columns(), sorted(manifest.splits.items()))
    print_heading(console, "Totals")
    print_facts(console, totals(manifest.totals))
    shown = sorted(manifest.tasks)[:TASKS]
    for name in shown:
        repeated = quality.actions[name].repeated_actions if name in quality.actions else None
        _print_task(console, name, manifest.tasks[name], repeated, summary.fields[name], manifest.tokenization)
    if hidden := len(manifest.tasks) - len(shown):
        console.print(f"\n... {counted(hidden, 'more task')}: --json has all of them", soft_wrap=True)
    print_heading(console, "Account")
    print_facts(console, account_facts(manifest))
    _print_left_out(console, summary)
    if summary.missing:
        print_heading(console, "Missing files")
        print_facts(console, [("", printable(line, 200)) for line in summary.missing])
    print_quality(console, quality)


def _print_left_out(console: Console, summary: DatasetSummary) -> None:
    """Why episodes were left out, and what to do about it."""
    if not summary.left_out:
        return
    print_heading(console, f"Left out: {counted(summary.manifest.dead_letters, 'episode')}")
    shown = summary.left_out[:REASONS]
    print_table(console, _LEFT_OUT, shown)
    if hidden := len(summary.left_out) - len(shown):
        console.print(f"... {counted(hidden, 'more reason')}: --json has all of them", soft_wrap=True)
    advice = "mended the input? The command that made the dataset, with --retry-dead-letters, makes those shards anew."
    console.print(advice, soft_wrap=True)


def _print_task(
    console: Console,
    name: str,
    task: TaskInfo,
    repeated: float | None,
    fields: Sequence[FieldSummary],
    tokenization: dict[str, Any],
) -> None:
    print_heading(console, f"Task {printable(name)}")
    facts = task_facts(task)
    if repeated is not None:
        facts.append(("repeated", f"{share(repeated, 1)} of action tokens are those of the timestep before (a sample)"))
    if fields:
        text = " and those of its text" if task.has_text else ""
        facts.append(("a timestep", f"{task.tokens_per_timestep} tokens{text}, in this order:"))
    print_facts(console, facts)
    if fields:
        print_table(console, _LAYOUT, _layout(task, fields, tokenization))
        console.print("raw values, before any scaling or clipping:", soft_wrap=True)
    print_table(console, _STATISTICS, fields)


class _Part(NamedTuple):
    """A part of a timestep in words."""

    tokens: str
    field: str
    modality: str
    shape: str
    scaled: str
    in_loss: bool


def _layout(task: TaskInfo, fields: Sequence[FieldSummary], settings: dict[str, Any]) -> list[_Part]:
    """Every part of a timestep, in token order."""
    ranges = {("observation", f.name): (f.low, f.high) for f in task.observations}
    ranges |= {("action", f.name): (f.low, f.high) for f in task.actions}
    parts: dict[str, list[_Part]] = {"observation": [], "action": []}
    for field in fields:
        text = field.modality == "text" and bool(settings.get("loss_on_text_observations", True))
        part = _Part(
            "some" if field.tokens is None else count(field.tokens),
            printable(full_name(field.role, field.name)),
            field.modality,
            "x".join(map(str, field.shape)),
            _range(*ranges[field.role, field.name]),
            field.role == "action" or text,
        )
        parts[field.role].append(part)
    separator = _Part("1", "separator", "", "", "", bool(settings.get("loss_on_separator", False)))
    return [*parts["observation"], separator, *parts["action"]]


def _range(low: Bound | None, high: Bound | None) -> str:
    if low is None or high is None:
        return ""
    if isinstance(low, tuple) or isinstance(high, tuple):
        return "its own for each element"
    return f"{real(low)} to {real(high)}"


_LAYOUT: Sequence[TableColumn[_Part]] = (
    TableColumn("tokens", lambda p: p.tokens, number=True),
    TableColumn("field", lambda p: p.field),
    TableColumn("modality", lambda p: p.modality),
    TableColumn("shape", lambda p: p.shape),
    TableColumn("range", lambda p: p.scaled),
    TableColumn("loss", lambda p: yes_no(p.in_loss)),
)
_STATISTICS: Sequence[TableColumn[FieldSummary]] = (
    TableColumn("field", lambda f: printable(full_name(f.role, f.name))),
    TableColumn("low", lambda f: real(f.low), number=True),
    TableColumn("high", lambda f: real(f.high), number=True),
    TableColumn("mean", lambda f: real(f.mean), number=True),
    TableColumn("std", lambda f: real(f.std), number=True),
    TableColumn("saturated", lambda f: "-" if f.saturated is None else share(f.saturated, 1), number=True),
    TableColumn("NaN", lambda f: count(f.nan) if f.modality == "continuous" else "-", number=True),
    TableColumn("bins", lambda f: f"{f.bins_used}/{f.bins}" if f.bins_used else "-", number=True),
    TableColumn("error", lambda f: "" if f.error is None else real(f.error, 2), number=True, optional=True),
)
_LEFT_OUT: Sequence[TableColumn[Reason]] = (
    TableColumn("episodes", lambda r: count(r.episodes), number=True),
    TableColumn("stage", lambda r: printable(r.stage)),
    TableColumn("reason", lambda r: printable(r.reason, 200)),
    TableColumn("first", lambda r: printable(r.first, 120)),
)
