"""What there is to say about a dataset, in words and tables, for the terminal and for the page."""

from collections.abc import Sequence
from typing import Any

from gato_data.printable import count, counted, printable, real, share, size
from gato_data.report.table import Fact, TableColumn
from gato_schemas.compression import PatchEncoding
from gato_schemas.dataset import EnvironmentInfo, Manifest, Scores, SplitInfo, TaskInfo
from gato_schemas.selection import EpisodeFilter, Resampling
from gato_schemas.sequence import Modality
from gato_schemas.statistics import Counts

_PARENTS = 5
"""Datasets that one was made of which are named."""


def dataset_facts(manifest: Manifest) -> list[Fact]:
    """Where a dataset came from and how it was made."""
    source = manifest.source
    inputs = ", ".join(printable(name, 60) for name in source.inputs[:3])
    more = f" and {len(source.inputs) - 3} more" if len(source.inputs) > 3 else ""
    return [
        ("family", printable(manifest.family) or "not stated"),
        ("source", f"{printable(source.name)}, from {inputs}{more}" if inputs else printable(source.name)),
        ("settings", settings_line(source.settings)),
        ("tokenized with", settings_line(manifest.tokenization)),
        ("licence", printable(source.licence, 300) or "not stated"),
        ("vocabulary", _vocabulary(manifest)),
        ("patches", patches_line(manifest.totals, _encoding(manifest.patch_encoding))),
        ("fingerprint", printable(manifest.fingerprint)),
        ("content id", manifest.content_id),
        *_origin(manifest),
    ]


def _origin(manifest: Manifest) -> list[Fact]:
    """The datasets that it was made of."""
    origin = manifest.origin
    if origin is None:
        return []
    how = {"append": "grown from", "merge": "merged of", "drop": "cut from"}[origin.how]
    facts: list[Fact] = []
    for number, each in enumerate(origin.parents[:_PARENTS]):
        line = f"{printable(each.name)}, {counted(each.episodes, 'episode')}, content id {each.content_id}"
        facts.append(("" if number else how, line))
    if (more := len(origin.parents) - _PARENTS) > 0:
        facts.append(("", f"and {counted(more, 'more dataset')}"))
    if origin.left_out:
        why = f"meeting {printable(origin.where, 200)}" if origin.where else "that an earlier one has as well"
        facts.append(("left out", f"{counted(origin.left_out, 'episode')} {why}"))
    return facts


def patches_line(counts: Counts, encoding: str | None) -> str:
    """How many patches there are, which share of them is stored, and how; no encoding where none is known."""
    if not counts.patches:
        return "none"
    stored = f"{count(counts.patches)}, {share(counts.distinct_patches, counts.patches)} distinct"
    return f"{stored}, {encoding}" if encoding else stored


def _encoding(encoding: PatchEncoding) -> str:
    return f"zlib, level {encoding.level}" if encoding.name == "zlib" else encoding.name


def settings_line(settings: dict[str, Any]) -> str:
    """Settings in one line, in the order of their names."""
    return ", ".join(f"{printable(name)} {printable(_plain(settings[name]))}" for name in sorted(settings)) or "none"


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_plain(entry) for entry in value) + "]"
    return str(value)


def _vocabulary(manifest: Manifest) -> str:
    table = manifest.vocabulary
    return (
        f"{count(table.size)} ids: text from 0, discrete from {table.discrete_offset}, "
        f"continuous from {table.continuous_offset}, separator {table.separator}"
    )


def split_columns(no_timesteps: str = "") -> Sequence[TableColumn[tuple[str, SplitInfo]]]:
    """A split by its name; `no_timesteps` stands where there are none, as in documents."""

    def timesteps(row: tuple[str, SplitInfo]) -> str:
        return count(row[1].totals.timesteps) if row[1].totals.timesteps else no_timesteps

    return (
        TableColumn("split", lambda r: printable(r[0])),
        TableColumn("shards", lambda r: count(len(r[1].shards)), number=True),
        TableColumn("size", lambda r: size(sum(shard.size for shard in r[1].shards)), number=True),
        TableColumn("episodes", lambda r: count(r[1].totals.episodes), number=True),
        TableColumn("timesteps", timesteps, number=True),
        TableColumn("tokens", lambda r: count(r[1].totals.tokens), number=True),
        TableColumn("loss", lambda r: share(r[1].totals.loss_tokens, r[1].totals.tokens), number=True),
    )


def totals(counts: Counts) -> list[Fact]:
    """Counts as facts: how much there is, which tokens, and how many of them are trained on."""
    by_modality = [
        f"{modality.name.lower()} {count(counts.tokens_by_modality[modality])}"
        for modality in Modality
        if counts.tokens_by_modality[modality]
    ]
    facts: list[Fact] = [("records", count(counts.records)), ("episodes", count(counts.episodes))]
    if counts.timesteps:
        facts.append(("timesteps", count(counts.timesteps)))
    if counts.images:
        facts.append(("images", count(counts.images)))
    facts.append(("tokens", f"{count(counts.tokens)} ({', '.join(by_modality)})" if by_modality else "0"))
    facts.append(("in the loss", f"{count(counts.loss_tokens)} ({share(counts.loss_tokens, counts.tokens)})"))
    return facts


_MAX_VERSIONS = 8


def resampling_text(asked: Resampling) -> str:
    """Which timesteps of a recording are timesteps of a dataset."""
    idle = "" if asked.idle_below is None else f" that move {asked.idle_below:g} or more"
    action = "sum" if asked.actions == "sum" else "last"
    held = "" if asked.actions == "last" and not idle else f"; the last {asked.held} of an action are held, no move"
    return f"one for every {asked.every} recorded{idle}, the action is their {action}{held}; the final one is its own"


def task_facts(task: TaskInfo) -> list[Fact]:
    """How much there is of a task, which episodes and fields were left out, and what was done at the end."""
    facts: list[Fact] = [("episodes", count(task.counts.episodes)), ("tokens", count(task.counts.tokens))]
    if task.filter is not None:
        facts.append(("kept", _kept(task.filter)))
    if task.final_step is not None:
        facts.append(("final step", f"{task.final_step.policy}: {printable(task.final_step.reason, 200)}"))
    if task.resampling is not None:
        facts.append(("timesteps", resampling_text(task.resampling)))
    if task.environment is not None:
        facts.append(("played in", _played(task.environment)))
    if task.scores is not None and (scored := _scored(task.scores)):
        facts.append(("scores", scored))
    if task.left_out:
        reasons = [f"{printable(name, 60)} ({printable(why, 100)})" for name, why in sorted(task.left_out.items())[:20]]
        more = len(task.left_out) - len(reasons)
        facts.append(("no tokens of", ", ".join(reasons) + (f" and {more} more" if more else "")))
    return facts


def _played(environment: EnvironmentInfo) -> str:
    pairs = list(environment.versions.items())[:_MAX_VERSIONS]
    versions = ", ".join(f"{printable(name, 60)} {printable(text, 60)}" for name, text in pairs)
    by = f", by {printable(environment.policy)}" if environment.policy else ""
    return f"{printable(environment.family)} {printable(environment.id)}{f' ({versions})' if versions else ''}{by}"


def _scored(scores: Scores) -> str:
    """Of the training split; empty where nothing is known."""
    found = []
    if scores.mean_return is not None and scores.expert_return is not None:
        found.append(f"mean return {real(scores.mean_return, 6)}, expert {real(scores.expert_return, 6)}")
    if scores.success_rate is not None:
        found.append(f"{scores.success_rate:.1%} succeeded")
    return ", ".join(found)


def _kept(chosen: EpisodeFilter) -> str:
    wanted = []
    if chosen.min_return is not None:
        wanted.append(f"a return of at least {real(chosen.min_return, 6)}")
    if chosen.require_success:
        wanted.append(f"{printable(chosen.require_success)}")
    reason = f", those with {' and '.join(wanted)}" if wanted else ""
    return f"{count(chosen.kept)} of {counted(chosen.kept + chosen.dropped, 'episode')}{reason}"
