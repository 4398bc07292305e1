"""What `gato-data ingest` prints: the result on stdout, warnings on stderr."""

import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from gato_data.report.answers import counts_json
from gato_data.statistics import sum_counts
from gato_pipelines.commit import Summary
from gato_pipelines.ingest import DryRun
from gato_schemas.dataset import TaskInfo
from gato_schemas.sequence import PATCH_SIZE


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


def print_dry_run(dry: DryRun, out: Path, *, as_json: bool) -> None:
    """What would be written."""
    if as_json:
        result = {
            "dry_run": True,
            "out": str(out),
            "fingerprint": dry.fingerprint,
            "vocabulary": dry.vocabulary.info,
            "tasks": dry.plan.tasks,
            "parts": dry.plan.parts,
        }
        print(msgspec.json.encode(result, order="sorted").decode())
        return
    console = Console(highlight=False)
    for name, task in dry.plan.tasks.items():
        episodes = sum(part.count for part in dry.plan.parts if part.task == name)
        console.print(f"task {name}: {episodes} episodes, {tokens_per_timestep(task)} tokens a timestep", markup=False)
        table = Table("role", "field", "modality", "shape", "dtype", box=None, pad_edge=False)
        for role, fields in (("observation", task.observations), ("action", task.actions)):
            for field in fields:
                shape = "x".join(map(str, field.shape)) or "-"
                table.add_row(role, field.name, field.modality, shape, field.dtype)
        console.print(table)
        if task.final_step is not None:
            console.print(f"final timestep: {task.final_step.policy} ({task.final_step.reason})", markup=False)
    console.print(f"{len(dry.plan.parts)} parts would be written to {out}; nothing was written", markup=False)


def _done(summary: Summary, tokens: int, seconds: float) -> str:
    if summary.was_complete:
        return "was complete already"
    if summary.finished_before:
        return f"is complete: {tokens:,} tokens"
    return f"is complete: {tokens:,} tokens in {seconds:.1f} s ({tokens / max(seconds, 1e-9):,.0f} a second)"


def print_summary(summary: Summary, out: Path, *, seconds: float, as_json: bool) -> None:
    """What was written."""
    manifest = summary.manifest
    totals = sum_counts(split.totals for split in manifest.splits.values())
    if as_json:
        result = {
            "out": str(out),
            "name": manifest.name,
            "family": manifest.family,
            "fingerprint": manifest.fingerprint,
            "tasks": {
                name: {**msgspec.to_builtins(task), "counts": counts_json(task.counts)}
                for name, task in manifest.tasks.items()
            },
            "splits": {name: counts_json(split.totals) for name, split in manifest.splits.items()},
            "totals": counts_json(totals),
            "bytes": sum(shard.size for split in manifest.splits.values() for shard in split.shards),
            "dead_letters": manifest.dead_letters,
            "warnings": summary.warnings,
        }
        print(msgspec.json.encode(result, order="sorted").decode())
    else:
        table = Table(
            "split", "shards", "episodes", "timesteps", "tokens", "trained on", "MB", box=None, pad_edge=False
        )
        for column in table.columns[1:]:
            column.justify = "right"
        for name, split in manifest.splits.items():
            counts = split.totals
            share = counts.loss_tokens / counts.tokens if counts.tokens else 0.0
            size = sum(shard.size for shard in split.shards) / 1e6
            numbers = (f"{n:,}" for n in (len(split.shards), counts.episodes, counts.timesteps, counts.tokens))
            table.add_row(name, *numbers, f"{share:.1%}", f"{size:,.2f}")
        console = Console(highlight=False)
        console.print(table)
        for name, task in manifest.tasks.items():
            if task.final_step is not None:
                console.print(
                    f"task {name}: {tokens_per_timestep(task)} tokens a timestep; final timestep: "
                    f"{task.final_step.policy} ({task.final_step.reason})",
                    markup=False,
                    soft_wrap=True,
                )
        print(f"{out} {_done(summary, totals.tokens, seconds)}", file=sys.stderr)
    for warning in summary.warnings:
        print(f"Warning: {warning}", file=sys.stderr)
