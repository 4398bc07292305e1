"""The end of an ingest: merge the indexes of all shards, write the JSON files, the manifest last."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from gato_data.card.files import files_of_manifest
from gato_data.errors import InputError, OutputError
from gato_data.files import write_durably
from gato_data.settings import recorded
from gato_data.statistics import merge_statistics
from gato_pipelines.control.bad_fields import blamed
from gato_pipelines.ingest.account import dataset_account
from gato_pipelines.ingest.job import Job, finished
from gato_pipelines.ingest.output import release, unclaim
from gato_pipelines.ingest.scores import task_scores
from gato_pipelines.ingest.summary import Summary, warnings_of
from gato_pipelines.registry.own import own_licence
from gato_pipelines.source import recorded_settings
from gato_schemas.dataset import (
    DEAD_LETTERS,
    TEXT_MODEL,
    WORK,
    Manifest,
    ShardInfo,
    SplitInfo,
    TaskInfo,
)
from gato_schemas.index import DeadLetter, ShardIndex
from gato_schemas.origin import SourceInfo
from gato_schemas.statistics import Counts, FieldStatistics


def commit(job: Job, *, shared: bool = False) -> Summary:
    """Make the dataset complete.

    Args:
        job: of which every part is finished.
        shared: whether other processes may do the same at this moment, so that the work folder has to stay.

    Raises:
        OutputError: more episodes were left out than may be, or all of them; the shards stay.
    """
    work = job.out / WORK if shared else None
    indexes = _indexes(job)
    letters = [letter for index in indexes["train"] for letter in index.header.dead_letters]
    write_durably(job.out / DEAD_LETTERS, _lines(letters), work)
    bad = sum(letter.count for letter in letters)
    totals = sum((index.header.totals for split in indexes.values() for index in split), Counts())
    _check_dead_letters(job, letters, bad, totals.episodes)
    manifest = make_manifest(job, indexes, letters)
    write_files(job, manifest, work)
    (unclaim if shared else release)(job.out)
    return Summary(manifest, warnings_of(manifest))


def dead_letters_of(index: ShardIndex) -> int:
    """How many episodes the dead letters of a shard stand for."""
    return sum(letter.count for letter in index.header.dead_letters)


def _lines(letters: Sequence[DeadLetter]) -> bytes:
    return b"".join(msgspec.json.encode(letter) + b"\n" for letter in letters)


def make_manifest(job: Job, indexes: Mapping[str, list[ShardIndex]], letters: Sequence[DeadLetter]) -> Manifest:
    """The manifest of a dataset, of the indexes of its shards and of what was left out."""
    recipe, settings = job.recipe, job.settings
    headers = [index.header for found in indexes.values() for index in found]
    statistics = merge_statistics(row for header in headers for row in header.statistics)
    notes = [note for header in headers for note in header.notes]
    return Manifest(
        name=job.name,
        family=job.source.made.family,
        source=source_info(job),
        libraries=recipe.libraries,
        vocabulary=recipe.vocabulary.info,
        tokenization=recorded(settings.tokenize),
        patch_encoding=settings.encoding,
        max_observation_tokens=settings.tokenize.max_observation_tokens,
        tasks=_tasks(job, indexes, statistics),
        agents=job.plan.agents,
        holdout=settings.holdout,
        splits={split: _split(job, split, found) for split, found in indexes.items()},
        statistics=statistics,
        dead_letters=sum(letter.count for letter in letters),
        dead_letters_digest=hashlib.sha256(_lines(letters)).hexdigest(),
        account=dataset_account(job.plan, notes, statistics),
        fingerprint=recipe.fingerprint,
    )


def _indexes(job: Job) -> dict[str, list[ShardIndex]]:
    found: dict[str, list[ShardIndex]] = {split: [] for split in job.splits}
    for number in range(len(job.plan.parts)):
        indexes = finished(job, number)
        if indexes is None:
            raise OutputError(
                f"part {number} ({job.plan.parts[number].file}) is not finished: run the same command again"
            )
        for split, index in indexes.items():
            found[split].append(index)
    return found


def _check_dead_letters(job: Job, letters: list[DeadLetter], bad: int, good: int) -> None:
    max_bad = job.settings.max_bad
    if not bad and not good:
        raise InputError("the input has no episode: nothing was written")
    if good and bad <= max_bad:
        return
    first = letters[0]
    named = PurePosixPath(first.source).name in first.reason
    example = first.reason if named else f"{first.place}: {first.reason}"
    option, times = blamed(letters, job.plan.tasks)
    field = f"{option}, which leaves out the field that spoils {times} of them" if option else ""
    if not good:
        lacking = "".join(f"; {note.text}" for note in job.plan.notes if note.kind == "missing")
        advice = f": run the command with {field}" if option else ""
        first_one = f"the first of {bad}: {example}"
        raise OutputError(f"no episode could be used ({first_one}){lacking}: no dataset was made{advice}")
    field = f"{field} (and --overwrite), or with " if option else ""
    raise OutputError(
        f"{bad} of {bad + good} episodes could not be used, --max-bad allows {max_bad} (first: {example}); all are in "
        f"{job.out / DEAD_LETTERS}: run the same command with {field}--max-bad {bad} to go without them (finished "
        "shards are kept), or mend the input and run it with --retry-dead-letters"
    )


def _split(job: Job, split: str, indexes: list[ShardIndex]) -> SplitInfo:
    shards = [
        ShardInfo(
            name=job.shard(number, split).name,
            size=index.header.shard_size,
            digest=index.header.digest,
            totals=index.header.totals,
        )
        for number, index in enumerate(indexes)
    ]
    return SplitInfo.of(shards)


def _tasks(
    job: Job, indexes: Mapping[str, list[ShardIndex]], statistics: Sequence[FieldStatistics]
) -> dict[str, TaskInfo]:
    every = [index for found in indexes.values() for index in found]
    counts = dict.fromkeys(job.plan.tasks, Counts())
    for index in every:
        for name, here in index.totals_by_task():
            counts[name] += here
    scores = task_scores(job, indexes.get("train", []))
    return {
        name: msgspec.structs.replace(
            task, counts=counts[name], action_values=_action_values(name, task, statistics), scores=scores.get(name)
        )
        for name, task in job.plan.tasks.items()
    }


def _action_values(name: str, task: TaskInfo, statistics: Sequence[FieldStatistics]) -> dict[str, int]:
    """How many values the discrete actions have: as declared, and no fewer than occur."""
    found = dict(task.action_values)
    starts = {field.name: field.start for field in task.actions if field.modality == "discrete"}
    for row in statistics:
        if row.task == name and row.role == "action" and row.field in starts and row.count:
            found[row.field] = max(found.get(row.field, 1), int(max(row.high)) - starts[row.field] + 1)
    return found


def source_info(job: Job) -> SourceInfo:
    """What the manifest says of the source and of the inputs of this job."""
    source = job.source.made
    encoded = msgspec.json.encode(recorded_settings(source))
    settings = msgspec.json.decode(encoded, type=dict[str, Any])
    folders, own = job.inputs.folders, own_licence(type(source))
    licences = (source.input_licence(folder) or own for folder in folders.values())
    return SourceInfo(
        name=job.source.name,
        settings={key: value for key, value in settings.items() if value not in ("", None, [], ())},
        inputs=list(folders),
        licence=job.settings.licence or "; ".join(dict.fromkeys(filter(None, licences))),
    )


def write_files(job: Job, manifest: Manifest, work: Path | None = None) -> None:
    """Write what lies beside the shards, the manifest last; `work` as `write_durably` has it."""
    if (model := job.recipe.text_model) is not None:
        write_durably(job.out / TEXT_MODEL, model, work)
    read = None if job.remote is None else job.remote.read_shard
    for name, content in files_of_manifest(job.out, manifest, read).items():
        write_durably(job.out / name, content, work)
