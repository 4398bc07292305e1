"""The end of an ingest: merge the indexes of all shards, write the JSON files, the manifest last."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from gato_data.errors import InputError, OutputError
from gato_data.files import write_durably
from gato_data.statistics import merge_statistics
from gato_pipelines.control.bad_fields import blamed
from gato_pipelines.ingest.account import dataset_account
from gato_pipelines.ingest.output import difference, release
from gato_pipelines.ingest.planning import without_reasons
from gato_pipelines.ingest.shards import Job, finished
from gato_pipelines.ingest.summary import Summary, warnings_of
from gato_pipelines.registry.own import own_licence
from gato_pipelines.source import Source, recorded_settings
from gato_schemas.dataset import (
    DEAD_LETTERS,
    MANIFEST,
    MANIFEST_COPY,
    TEXT_MODEL,
    Manifest,
    ShardInfo,
    SourceInfo,
    SplitInfo,
    TaskInfo,
    encode_manifest,
    read_manifest,
)
from gato_schemas.errors import FormatError
from gato_schemas.index import DeadLetter, ShardIndex, index_path, read_index
from gato_schemas.statistics import Counts
from gato_schemas.tfds import tfds_files

_AGAIN = "choose another --out, or --overwrite to make it again"


def already_complete(job: Job, source: Source) -> Summary | None:
    """The summary of a dataset that is complete; None where there is no manifest.

    Raises:
        OutputError: the dataset was made from other input or with other settings, is damaged, or of another version.
    """
    if not (job.out / MANIFEST).exists():
        return None
    manifest = check_same(job, source)
    digests = {shard.name: shard.digest for split in manifest.splits.values() for shard in split.shards}
    for number, part in enumerate(job.plan.parts):
        indexes = finished(job, number)
        if indexes is None:
            raise OutputError(
                f"{job.out} holds a complete dataset, but {_why_not_finished(job, number)} ({part.file}): {_AGAIN}"
            )
        for index in indexes.values():
            if index.header.digest != digests.get(index.header.shard):
                raise OutputError(
                    f"{job.out} holds a complete dataset, but {index.header.shard} is not the shard that its manifest "
                    f"was written for ({part.file}): {_AGAIN}"
                )
    return Summary(manifest, warnings_of(manifest), was_complete=True)


def check_same(job: Job, source: Source) -> Manifest:
    """The manifest of a complete dataset, which has to be one that this job makes.

    Raises:
        OutputError: it was made from other input or with other settings, is damaged, or of another version.
    """
    try:
        manifest = read_manifest(job.out)
    except FormatError as error:
        raise OutputError(f"{error}: {_AGAIN}") from error
    if manifest.fingerprint != job.fingerprint or manifest.name != job.name:
        stored = _comparable(manifest, max((len(split.shards) for split in manifest.splits.values()), default=0))
        wanted = _comparable(_manifest(job, source, {}, b"", 0), len(job.plan.parts))
        what = f" ({difference(stored, wanted)})" if stored != wanted else ""
        raise OutputError(
            f"{job.out} holds a complete dataset made from other input or with other settings{what}: {_AGAIN}"
        )
    return manifest


def without_dead_letters(out: Path) -> Summary | None:
    """The summary of a complete dataset from which nothing was left out or is missing; None for any other folder."""
    try:
        manifest = read_manifest(out)
    except FormatError:
        return None
    shards = [(out / shard.name, shard.size) for split in manifest.splits.values() for shard in split.shards]
    whole = all(path.is_file() and path.stat().st_size == size and index_path(path).is_file() for path, size in shards)
    return Summary(manifest, warnings_of(manifest), was_complete=True) if whole and not manifest.dead_letters else None


def _comparable(manifest: Manifest, shards: int) -> dict[str, Any]:
    """What a manifest says of settings and input, as JSON."""
    names = ("name", "source", "vocabulary", "tokenization", "patch_encoding", "libraries", "agents", "holdout")
    found: dict[str, Any] = {name: getattr(manifest, name) for name in names} | {"shards": shards}
    found["tasks"] = {
        name: msgspec.structs.replace(without_reasons(task), counts=Counts()) for name, task in manifest.tasks.items()
    }
    comparable: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return comparable


def _why_not_finished(job: Job, number: int) -> str:
    """Why a shard is not what this job would write."""
    for split in job.splits:
        path = job.shard(number, split)
        try:
            header = read_index(index_path(path)).header
        except (OSError, FormatError):
            return f"the index of {path.name} is missing or damaged"
        if header.part != job.plan.parts[number]:
            return f"{path.name} was made from other input"
        if not path.is_file() or path.stat().st_size != header.shard_size:
            return f"{path.name} is missing or damaged"
    return f"part {number} is not finished"


def commit(job: Job, source: Source, max_bad: int) -> Summary:
    """Make the dataset complete.

    Raises:
        OutputError: more episodes were left out than `max_bad`, or all of them; the shards stay.
    """
    indexes = _indexes(job)
    letters = [letter for index in indexes["train"] for letter in index.header.dead_letters]
    lines = b"".join(msgspec.json.encode(letter) + b"\n" for letter in letters)
    write_durably(job.out / DEAD_LETTERS, lines)
    bad = sum(map(dead_letters_of, indexes["train"]))
    totals = sum((index.header.totals for split in indexes.values() for index in split), Counts())
    _check_dead_letters(job, letters, bad, totals.episodes, max_bad)
    manifest = _manifest(job, source, indexes, lines, bad)
    _write(job, manifest)
    release(job.out)
    return Summary(manifest, warnings_of(manifest))


def dead_letters_of(index: ShardIndex) -> int:
    """How many episodes the dead letters of a shard stand for."""
    return sum(letter.count for letter in index.header.dead_letters)


def _manifest(job: Job, source: Source, indexes: Mapping[str, list[ShardIndex]], letters: bytes, bad: int) -> Manifest:
    headers = [index.header for found in indexes.values() for index in found]
    statistics = merge_statistics(row for header in headers for row in header.statistics)
    notes = [note for header in headers for note in header.notes]
    return Manifest(
        name=job.name,
        family=source.family,
        source=_source_info(job, source),
        libraries=job.libraries,
        vocabulary=job.vocabulary.info,
        tokenization=asdict(job.tokenize),
        patch_encoding=job.encoding,
        max_observation_tokens=job.tokenize.max_observation_tokens,
        tasks=_tasks(job, indexes),
        agents=job.plan.agents,
        holdout=job.holdout,
        splits={split: _split(job, split, found) for split, found in indexes.items()},
        statistics=statistics,
        dead_letters=bad,
        dead_letters_digest=hashlib.sha256(letters).hexdigest(),
        account=dataset_account(job.plan, notes, statistics),
        fingerprint=job.fingerprint,
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


def _check_dead_letters(job: Job, letters: list[DeadLetter], bad: int, good: int, max_bad: int) -> None:
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
    shards = []
    for number, index in enumerate(indexes):
        name, header = job.shard(number, split).name, index.header
        shards.append(ShardInfo(name=name, size=header.shard_size, digest=header.digest, totals=header.totals))
    return SplitInfo.of(shards)


def _tasks(job: Job, indexes: Mapping[str, list[ShardIndex]]) -> dict[str, TaskInfo]:
    every = [index for found in indexes.values() for index in found]
    counts = dict.fromkeys(job.plan.tasks, Counts())
    for index in every:
        for name, here in index.totals_by_task():
            counts[name] += here
    return {name: msgspec.structs.replace(task, counts=counts[name]) for name, task in job.plan.tasks.items()}


def _source_info(job: Job, source: Source) -> SourceInfo:
    settings = msgspec.json.decode(msgspec.json.encode(recorded_settings(source)), type=dict[str, Any])
    licences = (source.input_licence(folder) or own_licence(type(source)) for folder in job.inputs.values())
    return SourceInfo(
        name=job.source,
        settings={key: value for key, value in settings.items() if value not in ("", None, [], ())},
        inputs=list(job.inputs),
        licence="; ".join(dict.fromkeys(filter(None, licences))),
    )


def _write(job: Job, manifest: Manifest) -> None:
    if job.text_model is not None:
        write_durably(job.out / TEXT_MODEL, job.text_model)
    data = encode_manifest(manifest)
    for name, content in {**tfds_files(manifest), MANIFEST_COPY: data, MANIFEST: data}.items():
        write_durably(job.out / name, content)
