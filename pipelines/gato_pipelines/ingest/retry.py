"""Trying dead letters again: shards that hold them are made anew, everything else stays as it is.

    mark        parts whose indexes hold dead letters, and parts whose shards are missing or damaged
    write       their shards, in a folder of their own inside the work folder
    move        the manifest goes first, then the old indexes, then shard and index of each part
    commit      as ever, the manifest last

Up to the third step a complete dataset stays what it was, so a retry whose input is no better, or
that is killed, costs nothing; from there on the folder is an unfinished dataset, which the same
command completes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gato_data.errors import OutputError
from gato_pipelines.documents.texts.duplicates import find_duplicates
from gato_pipelines.ingest.commit import dead_letters_of
from gato_pipelines.ingest.complete import check_same
from gato_pipelines.ingest.job import Job, finished
from gato_pipelines.ingest.output import RETRY
from gato_pipelines.ingest.scan_job import PartKey, part_key
from gato_pipelines.source import PartScan
from gato_schemas.dataset import MANIFEST, WORK
from gato_schemas.errors import FormatError
from gato_schemas.index import SUFFIX, Part, ShardIndex, index_path, read_index


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


@dataclass(frozen=True, slots=True)
class _OldPart:
    """A part, and what the folder holds of it.

    Attributes:
        number: of the part.
        part: as the plan has it.
        indexes: of its whole shards, whatever they were made from.
        is_finished: whether all shards are whole and of this job.
    """

    number: int
    part: Part
    indexes: list[ShardIndex]
    is_finished: bool

    @property
    def file(self) -> tuple[str, str]:
        """The file that it is a part of."""
        return self.part.input, self.part.file

    @property
    def letters(self) -> int:
        """Episodes that its dead letters stand for."""
        return sum(map(dead_letters_of, self.indexes))

    @property
    def episodes(self) -> int:
        """Episodes in its whole shards."""
        return sum(index.header.totals.episodes for index in self.indexes)

    @property
    def has_changed(self) -> bool:
        """Whether its indexes name other input; one that was rebuilt from nothing names none."""
        known = (self.part, Part("", "", 0))
        return any(index.header.part not in known for index in self.indexes)


def plan_retry(job: Job, scans: Sequence[PartScan]) -> Retry:
    """Find the parts that have to be made anew.

    Raises:
        OutputError: the folder holds a dataset made from other input or with other settings.
    """
    is_complete = (job.out / MANIFEST).exists()
    if is_complete:
        check_same(job)
    parts = [_old_part(job, number) for number in range(len(job.plan.parts))]
    sure = [old for old in parts if old.letters or not old.is_finished]
    if is_complete:
        _check_unchanged(job, sure)
    # What is in the other parts of a file that changed may have moved.
    moved = {old.file for old in sure if old.has_changed}
    unlike = _with_other_duplicates(parts, scans)
    anew = {old.number for old in sure}
    others = {old.number for old in parts if old.file in moved} | unlike
    return Retry([*sorted(others - anew), *sorted(anew)], sum(old.letters for old in parts))


def _check_unchanged(job: Job, parts: Sequence[_OldPart]) -> None:
    """Check that no file of a complete dataset changed but those whose dead letters were mended."""
    mended = {old.file for old in parts if old.letters}
    for old in parts:
        if old.has_changed and old.file not in mended:
            raise OutputError(
                f"{old.part.file} has no dead letters and is not what {job.out} was made from any "
                "more: restore it, or use --overwrite to make the dataset again"
            )


def _with_other_duplicates(parts: Sequence[_OldPart], scans: Sequence[PartScan]) -> set[int]:
    """Parts in which other documents are duplicates than before.

    A document that can be read now may make a later one its duplicate.
    """
    if not any(scan.hashes for scan in scans):
        return set()
    found = zip(scans, find_duplicates(scans), strict=True)
    duplicates = {part_key(scan.part): len(ordinals) for scan, ordinals in found}
    return {old.number for old in parts if old.episodes != old.part.count - duplicates[part_key(old.part)]}


def _old_part(job: Job, number: int) -> _OldPart:
    found = [_read(index_path(job.shard(number, split))) for split in job.splits]
    indexes = [index for index in found if index is not None]
    return _OldPart(number, job.plan.parts[number], indexes, finished(job, number) is not None)


def _read(path: Path) -> ShardIndex | None:
    try:
        return read_index(path)
    except (OSError, FormatError):
        return None


def staged(job: Job) -> Job:
    """The same job, writing into a folder inside the work folder."""
    inside = f"{WORK}/{RETRY}"
    return replace(job, out=job.out / inside, remote=None if job.remote is None else job.remote.below(inside))


def to_write(job: Job, retry: Retry) -> list[int]:
    """The parts that an earlier retry has not finished, or not without dead letters.

    What is left of those is removed.
    """
    fresh, found = staged(job), []
    for number in sorted(retry.parts):
        indexes = finished(fresh, number)
        if indexes is None or any(map(dead_letters_of, indexes.values())):
            for split in job.splits:
                index_path(fresh.shard(number, split)).unlink(missing_ok=True)
            found.append(number)
    return found


def check_better(job: Job, retry: Retry) -> int:
    """Check that a dataset that is complete will be so again.

    Returns how many episodes will have been left out.

    Raises:
        OutputError: too many episodes still cannot be used; the dataset stays as it was.
    """
    bad, good, max_bad = 0, 0, job.settings.max_bad
    for index in _afterwards(job, retry):
        bad += dead_letters_of(index)
        good += index.header.totals.episodes
    if (job.out / MANIFEST).exists() and (bad > max_bad or not good):
        raise OutputError(
            f"{bad} of {bad + good} episodes still could not be used, --max-bad allows {max_bad}: "
            f"{job.out} is left as it was; mend the rest of the input, or give --max-bad {bad}"
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

    An index stands for a whole shard, so all old ones go before any shard does; those that say that
    something has to be made anew go last, so that a run that is killed finds the same parts again.

    Raises:
        OutputError: a remote dataset cannot be written.
    """
    fresh = staged(job)
    names = [job.shard(number, split).name for number in retry.parts for split in job.splits]
    for name in (MANIFEST, *(name + SUFFIX for name in names)):
        (job.out / name).unlink(missing_ok=True)
    if job.remote is not None:
        job.remote.remove([MANIFEST, *(name + SUFFIX for name in names)])
    for name in names:
        if job.remote is not None and fresh.remote is not None:
            job.remote.take(name, fresh.remote)
        (fresh.out / name).replace(job.out / name)
        (fresh.out / (name + SUFFIX)).replace(job.out / (name + SUFFIX))
