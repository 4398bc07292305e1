"""What `gato-data ingest` prints: the result on stdout, warnings on stderr."""

import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from gato_data.report.account import account_facts, headed_line
from gato_data.report.encode import as_line
from gato_data.report.printable import MAX_LINE, counted, printable
from gato_data.report.terminal.console import stdout
from gato_data.report.terminal.table import print_facts
from gato_data.statistics import sum_counts
from gato_pipelines.ingest.run import DryRun
from gato_pipelines.ingest.summary import Summary
from gato_schemas.dataset import EpisodeFilter, TaskInfo
from gato_schemas.episode import Field
from gato_schemas.sequence import PATCH_SIZE


def _say(console: Console, line: str) -> None:
    console.print(printable(line, MAX_LINE), soft_wrap=True)


def tokens_per_timestep(task: TaskInfo) -> str:
    """Tokens of one timestep, such as "22", or "150 + text"."""
    total, text = 1, False
    for field in [*task.observations, *task.actions]:
        size = 1
        for side in field.shape:
            size *= side
        if field.modality == "image":
            size = field.shape[0] * field.shape[1] // PATCH_SIZE**2
        text = text or field.modality == "text"
        total += 0 if field.modality == "text" else size
    return f"{total} + text" if text else str(total)


def dry_run_json(dry: DryRun, out: Path | str) -> str:
    """What would be written, as one JSON object."""
    result = {
        "dry_run": True,
        "out": str(out),
        "fingerprint": dry.fingerprint,
        "vocabulary": dry.vocabulary.info,
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
        if not task.actions:
            _say(console, f"task {name}: {counted(episodes, 'document')}")
            continue
        _say(console, f"task {name}: {counted(episodes, 'episode')}, {tokens_per_timestep(task)} tokens a timestep")
        table = Table("role", "field", "modality", "shape", "dtype", "range", box=None, pad_edge=False)
        table.columns[1].overflow = "fold"
        for role, fields in (("observation", task.observations), ("action", task.actions)):
            for field in fields:
                shape = "x".join(map(str, field.shape)) or "-"
                table.add_row(role, printable(field.name), field.modality, shape, field.dtype, range_text(field))
        console.print(table)
        for name, why in task.left_out.items():
            _say(console, f"left out: {name} ({why})")
        if task.final_step is not None:
            _say(console, f"final timestep: {task.final_step.policy} ({task.final_step.reason})")
        if task.filter is not None:
            _say(console, filter_line(task.filter))
    for note in (*dry.plan.notes, *dry.plan.expected):
        _say(console, headed_line(note))
    if bad := dry.unreadable.count:
        _say(console, f"cannot be read: {counted(bad, 'episode')} of {dry.unreadable.of:,} ({dry.unreadable.first})")
    if dry.bad_start:
        _say(console, f"cannot be read: none of the first documents ({dry.bad_start})")
    _say(console, f"{counted(len(dry.plan.parts), 'part')} would be written to {out}; nothing was written")


def range_text(field: Field) -> str:
    """The range that is mapped to [-1, 1], such as "-1:1", or of each element."""
    if field.low is None or field.high is None:
        return ""
    lows = field.low if isinstance(field.low, tuple) else (field.low,)
    highs = field.high if isinstance(field.high, tuple) else (field.high,)
    return " ".join(f"{low:.3g}:{high:.3g}" for low, high in zip(lows, highs, strict=True))


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
    result = {
        "out": str(out),
        "name": manifest.name,
        "family": manifest.family,
        "fingerprint": manifest.fingerprint,
        "tasks": manifest.tasks,
        "splits": {name: split.totals for name, split in manifest.splits.items()},
        "totals": sum_counts(split.totals for split in manifest.splits.values()),
        "bytes": sum(shard.size for split in manifest.splits.values() for shard in split.shards),
        "dead_letters": manifest.dead_letters,
        "account": manifest.account,
        "warnings": summary.warnings,
    }
    return as_line(result)


def print_summary(summary: Summary, out: Path | str, *, seconds: float) -> None:
    """What was written."""
    manifest = summary.manifest
    table = Table("split", "shards", "episodes", "timesteps", "tokens", "trained on", "MB", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, split in manifest.splits.items():
        counts = split.totals
        share = counts.loss_tokens / counts.tokens if counts.tokens else 0.0
        size = sum(shard.size for shard in split.shards) / 1e6
        numbers = (f"{n:,}" for n in (len(split.shards), counts.episodes, counts.timesteps, counts.tokens))
        table.add_row(name, *numbers, f"{share:.1%}", f"{size:,.2f}")
    console = stdout()
    console.print(table)
    for name, task in manifest.tasks.items():
        if task.final_step is not None:
            text = (
                f"task {name}: {tokens_per_timestep(task)} tokens a timestep; final timestep: "
                f"{task.final_step.policy} ({task.final_step.reason})"
            )
            _say(console, text)
        if task.filter is not None:
            _say(console, f"task {name}: {filter_line(task.filter)}")
    print_facts(console, account_facts(manifest))
    tokens = sum(split.totals.tokens for split in manifest.splits.values())
    print(f"{printable(str(out), MAX_LINE)} {_done(summary, tokens, seconds)}", file=sys.stderr)


def print_warnings(summary: Summary) -> None:
    """What a user should know, on stderr."""
    for warning in summary.warnings:
        print(f"Warning: {printable(warning, MAX_LINE)}", file=sys.stderr)
