"""Trying dead letters again: the shards that hold them are made anew, everything else stays as it is.

    mark        parts whose indexes hold dead letters, and parts whose shards are missing or damaged
    write       their shards, in a folder of their own inside the work folder
    move        the manifest goes first, then the old indexes, then shard and index of one part after the other
    commit      as ever, the manifest last

Up to the third step a complete dataset stays what it was, so a retry whose input is no better, or that is killed, costs
nothing; from there on the folder is an unfinished dataset, which the same command completes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from gato_data.errors import OutputError
from gato_pipelines.documents.texts.duplicates import find_duplicates
from gato_pipelines.ingest.commit import check_same, dead_letters_of
from gato_pipelines.ingest.output import RETRY
from gato_pipelines.ingest.scan_job import PartKey, part_key
from gato_pipelines.ingest.shards import WORK, Job, finished
from gato_pipelines.source import PartScan, Source
from gato_schemas.dataset import MANIFEST
from gato_schemas.errors import FormatError
from gato_schemas.index import SUFFIX, Part, ShardIndex, read_index

Indexes: TypeAlias = list[ShardIndex | None]
"""Of the shards of one part, whatever they were made from; None where there is none that is whole."""


@dataclass(frozen=True, slots=True)
class Retry:
    """What has to be made anew.

    Attributes:
        parts: their numbers; those that nothing but their neighbours' change concerns come first.
        letters: episodes that the dead letters stand for.
    """

    parts: list[int]
    letters: int


def buried_parts(out: Path) -> set[PartKey]:
    """The parts with dead letters, by the indexes of a folder: they have to be scanned again.

    Raises:
        OutputError: there is no dataset.
    """
    if not (out / MANIFEST).exists() and not (out / WORK).exists():
        raise OutputError(f"{out} holds no dataset whose dead letters could be tried again: leave the option out")
    found = (_read(path) for path in out.glob(f"*{SUFFIX}"))
    return {part_key(index.header.part) for index in found if index is not None and dead_letters_of(index)}


def plan_retry(job: Job, source: Source, scans: Sequence[PartScan]) -> Retry:
    """Find the parts that have to be made anew.

    Raises:
        OutputError: the folder holds a dataset made from other input or with other settings.
    """
    complete = (job.out / MANIFEST).exists()
    if complete:
        check_same(job, source)
    wanted, indexes = job.plan.parts, [_indexes(job, number) for number in range(len(job.plan.parts))]
    letters = [sum(dead_letters_of(index) for index in found if index is not None) for found in indexes]
    sure = {number for number in range(len(wanted)) if letters[number] or finished(job, number) is None}
    changed = {number for number in sure if _is_other(indexes[number], wanted[number])}
    mended = {_file(wanted[number]) for number in sure if letters[number]}
    for number in sorted(changed) if complete else ():
        if _file(wanted[number]) not in mended:
            raise OutputError(
                f"{wanted[number].file} has no dead letters and is not what {job.out} was made from any more: restore "
                "it, or use --overwrite to make the dataset again"
            )
    moved = {_file(wanted[number]) for number in changed}  # what is in a file's other parts may have moved
    unlike = _unlike(job, scans, indexes)
    others = {number for number in range(len(wanted)) if _file(wanted[number]) in moved or number in unlike} - sure
    return Retry([*sorted(others), *sorted(sure)], sum(letters))


def _unlike(job: Job, scans: Sequence[PartScan], indexes: Sequence[Indexes]) -> set[int]:
    """Parts with other duplicates than before: a document that can be read now may make a later one its duplicate."""
    if not any(scan.hashes for scan in scans):
        return set()
    duplicates = {part_key(scan.part): len(found) for scan, found in zip(scans, find_duplicates(scans), strict=True)}
    found = set()
    for number, part in enumerate(job.plan.parts):
        kept = sum(index.header.totals.episodes for index in indexes[number] if index is not None)
        if kept != part.count - duplicates[part_key(part)]:
            found.add(number)
    return found


def _file(part: Part) -> tuple[str, str]:
    return part.input, part.file


def _is_other(indexes: Indexes, part: Part) -> bool:
    """Whether whole indexes name other input; one that a repair rebuilt from nothing names none."""
    known = [index.header.part for index in indexes if index is not None]
    return any(found not in (part, Part("", "", 0)) for found in known)


def _indexes(job: Job, number: int) -> Indexes:
    paths = [job.shard(number, split) for split in job.splits]
    return [_read(path.with_name(path.name + SUFFIX)) for path in paths]


def _read(path: Path) -> ShardIndex | None:
    try:
        return read_index(path)
    except (OSError, FormatError):
        return None


def staged(job: Job) -> Job:
    """The same job, writing into a folder inside the work folder of this machine."""
    return replace(job, out=job.out / WORK / RETRY, output=None)


def to_write(job: Job, retry: Retry) -> list[int]:
    """The parts that an earlier retry has not finished, or not without dead letters; what is left of those goes."""
    fresh, found = staged(job), []
    for number in sorted(retry.parts):
        indexes = finished(fresh, number)
        if indexes is None or any(map(dead_letters_of, indexes.values())):
            for split in job.splits:
                path = fresh.shard(number, split)
                path.with_name(path.name + SUFFIX).unlink(missing_ok=True)
            found.append(number)
    return found


def check_better(job: Job, retry: Retry, max_bad: int) -> int:
    """Check that a dataset that is complete will be so again; returns how many episodes will have been left out.

    Raises:
        OutputError: too many episodes still cannot be used; the dataset stays as it was.
    """
    bad = good = 0
    for index in _afterwards(job, retry):
        bad += dead_letters_of(index)
        good += index.header.totals.episodes
    if (job.out / MANIFEST).exists() and (bad > max_bad or not good):
        raise OutputError(
            f"{bad} of {bad + good} episodes still could not be used, --max-bad allows {max_bad}: {job.out} is left as "
            f"it was; mend the rest of the input, or give --max-bad {bad}"
        )
    return bad


def _afterwards(job: Job, retry: Retry) -> Iterator[ShardIndex]:
    anew, fresh = set(retry.parts), staged(job)
    for number, part in enumerate(job.plan.parts):
        indexes = finished(fresh if number in anew else job, number)
        if indexes is None:
            raise OutputError(f"part {number} ({part.file}) is not finished: run the same command again")
        yield from indexes.values()


def move_in(job: Job, retry: Retry) -> None:
    """Put the new shards in the place of the old ones.

    An index stands for a whole shard, so all old ones go before any shard does; those that say that something has to
    be made anew go last, so that a run that is killed in between finds the same parts again.

    Raises:
        OutputError: a remote dataset cannot be written.
    """
    fresh = staged(job)
    names = [job.shard(number, split).name for number in retry.parts for split in job.splits]
    for name in (MANIFEST, *(name + SUFFIX for name in names)):
        (job.out / name).unlink(missing_ok=True)
    if job.output is not None:
        job.output.remote.remove([MANIFEST, *(name + SUFFIX for name in names)])
    for name in names:
        if job.output is not None:
            job.output.push_shard(fresh.out / name, fresh.out / (name + SUFFIX))
        (fresh.out / name).replace(job.out / name)
        (fresh.out / (name + SUFFIX)).replace(job.out / (name + SUFFIX))
