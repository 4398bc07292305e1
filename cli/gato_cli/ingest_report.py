"""What `gato-data ingest` prints: the result on stdout, warnings on stderr."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from gato_cli.output import say
from gato_data.printable import MAX_LINE, count, counted, printable
from gato_data.ranges import range_text
from gato_data.report.account import account_facts, headed_line
from gato_data.report.encode import as_line
from gato_data.report.facts import resampling_text
from gato_data.report.growing import made_answer
from gato_data.report.table import TableColumn
from gato_data.report.terminal.console import stdout
from gato_data.report.terminal.table import print_facts, print_table
from gato_pipelines.ingest.run import DryRun
from gato_pipelines.ingest.summary import Summary, Unfinished
from gato_schemas.dataset import SplitInfo, TaskInfo
from gato_schemas.episode import Field
from gato_schemas.selection import EpisodeFilter

_MAX_LISTED = 10


def _say(console: Console, line: str) -> None:
    console.print(printable(line, MAX_LINE), soft_wrap=True)


def timestep_tokens(task: TaskInfo) -> str:
    """Tokens of one timestep, such as "22", or "150 + text"."""
    return f"{task.tokens_per_timestep}{' + text' if task.has_text else ''}"


def dry_run_json(dry: DryRun, out: Path | str) -> str:
    """What would be written, as one JSON object."""
    result = {
        "dry_run": True,
        "out": str(out),
        "fingerprint": dry.recipe.fingerprint,
        "vocabulary": dry.recipe.vocabulary.info,
        "tasks": msgspec.to_builtins(dry.plan.tasks),  # nothing is counted yet
        "parts": dry.plan.parts,
        "notes": [*dry.plan.notes, *dry.plan.expected],
        "unreadable": dry.unreadable.count,
    }
    return as_line(result)


def print_dry_run(dry: DryRun, out: Path | str) -> None:
    """What would be written."""
    console = stdout()
    for name, task in dry.plan.tasks.items():
        episodes = sum(part.count for part in dry.plan.parts if part.task == name)
        _print_task(console, name, task, episodes)
    for note in (*dry.plan.notes, *dry.plan.expected):
        _say(console, headed_line(note))
    if unreadable := dry.unreadable.count:
        of = f"{counted(unreadable, 'episode')} of {dry.unreadable.of:,}"
        _say(console, f"cannot be read: {of} ({dry.unreadable.first})")
    if dry.bad_start:
        _say(console, f"cannot be read: none of the first documents ({dry.bad_start})")
    _say(console, f"{counted(len(dry.plan.parts), 'part')} would be written to {out}; nothing was written")


def _print_task(console: Console, name: str, task: TaskInfo, episodes: int) -> None:
    if not task.actions:
        _say(console, f"task {name}: {counted(episodes, 'document')}")
        return
    _say(console, f"task {name}: {counted(episodes, 'episode')}, {timestep_tokens(task)} tokens a timestep")
    rows = [("observation", field) for field in task.observations] + [("action", field) for field in task.actions]
    print_table(console, _FIELDS, rows)
    for field, why in task.left_out.items():
        _say(console, f"left out: {field} ({why})")
    if task.final_step is not None:
        _say(console, f"final timestep: {task.final_step.policy} ({task.final_step.reason})")
    if task.resampling is not None:
        _say(console, f"timesteps: {resampling_text(task.resampling)}")
    if task.filter is not None:
        _say(console, filter_line(task.filter))


def filter_line(chosen: EpisodeFilter) -> str:
    """How many episodes were kept, and why."""
    reasons = []
    if chosen.min_return_fraction is not None:
        reasons.append(
            f"return from {chosen.min_return:.6g} on, {chosen.min_return_fraction:g} of the expert's "
            f"{chosen.expert_return:.6g} over {chosen.window} episodes"
        )
    if chosen.require_success:
        reasons.append(f"{chosen.require_success} set")
    return f"episodes: {chosen.kept} kept, {chosen.dropped} dropped ({'; '.join(reasons)})"


def _done(summary: Summary, tokens: int, seconds: float) -> str:
    if summary.was_complete:
        return "was complete already"
    if summary.finished_before:
        return f"is complete: {tokens:,} tokens"
    return f"is complete: {tokens:,} tokens in {seconds:.1f} s ({tokens / max(seconds, 1e-9):,.0f} a second)"


def summary_json(summary: Summary, out: Path | str) -> str:
    """What was written, as one JSON object."""
    manifest = summary.manifest
    more = {
        "family": manifest.family,
        "tasks": manifest.tasks,
        "account": manifest.account,
        "warnings": summary.warnings,
    }
    return as_line({**made_answer(out, manifest), **more})


def print_summary(summary: Summary, out: Path | str, *, seconds: float) -> None:
    """What was written."""
    manifest = summary.manifest
    console = stdout()
    print_table(console, _SPLITS, list(manifest.splits.items()))
    for name, task in manifest.tasks.items():
        if task.final_step is not None:
            text = (
                f"task {name}: {timestep_tokens(task)} tokens a timestep; final timestep: "
                f"{task.final_step.policy} ({task.final_step.reason})"
            )
            _say(console, text)
        if task.filter is not None:
            _say(console, f"task {name}: {filter_line(task.filter)}")
    print_facts(console, account_facts(manifest))
    tokens = sum(split.totals.tokens for split in manifest.splits.values())
    say(f"{out} {_done(summary, tokens, seconds)}")


def print_unfinished(unfinished: Unfinished, out: Path | str) -> None:
    """What is missing after one task of an array."""
    missing, owners = unfinished.missing, unfinished.task.owners(unfinished.missing)
    of = f"of {counted(unfinished.parts, 'part')} {'is' if len(missing) == 1 else 'are'} missing"
    tasks = f"task{'' if len(owners) == 1 else 's'} {_listed(owners)}"
    say(
        f"task {unfinished.task} of {out} is done; {len(missing):,} {of}: {_listed(missing)}, of {tasks}; the last one "
        "to end completes the dataset"
    )


def _listed(values: Sequence[object]) -> str:
    shown = ", ".join(map(str, values[:_MAX_LISTED]))
    return shown if len(values) <= _MAX_LISTED else f"{shown} and {len(values) - _MAX_LISTED:,} more"


def unfinished_json(unfinished: Unfinished, out: Path | str) -> str:
    """What is missing after one task of an array, as one JSON object."""
    task = str(unfinished.task)
    return as_line({"out": str(out), "task": task, "parts": unfinished.parts, "missing": unfinished.missing})


def print_warnings(summary: Summary) -> None:
    """What a user should know, on stderr."""
    for warning in summary.warnings:
        say(f"Warning: {warning}")


_FIELDS: Sequence[TableColumn[tuple[str, Field]]] = (
    TableColumn("role", lambda r: r[0]),
    TableColumn("field", lambda r: printable(r[1].name)),
    TableColumn("modality", lambda r: r[1].modality),
    TableColumn("shape", lambda r: "x".join(map(str, r[1].shape)) or "-"),
    TableColumn("dtype", lambda r: r[1].dtype),
    TableColumn("range", lambda r: range_text(r[1])),
)
_SPLITS: Sequence[TableColumn[tuple[str, SplitInfo]]] = (
    TableColumn("split", lambda r: r[0]),
    TableColumn("shards", lambda r: count(len(r[1].shards)), number=True),
    TableColumn("episodes", lambda r: count(r[1].totals.episodes), number=True),
    TableColumn("timesteps", lambda r: count(r[1].totals.timesteps), number=True),
    TableColumn("tokens", lambda r: count(r[1].totals.tokens), number=True),
    TableColumn("trained on", lambda r: f"{r[1].totals.loss_tokens / max(r[1].totals.tokens, 1):.1%}", number=True),
    TableColumn("MB", lambda r: f"{sum(shard.size for shard in r[1].shards) / 1e6:,.2f}", number=True),
)
