"""Mending a dataset: damaged pieces are set aside, what is whole stays, and everything that counts it is made anew.

The order makes a repair that is killed harmless: copies into the quarantine first, then dead letters, then the shard
and its index, the manifest last. Run again, it goes on where it stopped; on a whole dataset it does nothing.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from gato_data.errors import FormatError, OutputError
from gato_data.reindex import rebuild_index
from gato_data.report.printable import counted
from gato_data.shard_writer import count_records, write_durably
from gato_data.statistics import sum_counts
from gato_data.verify.dataset import ShardState, Verdict, json_problem, names_fit, verify_dataset
from gato_data.verify.findings import Findings
from gato_data.verify.folder import letters as count_letters
from gato_data.verify.frames import pieces
from gato_data.verify.quarantine import append_letters, move_aside, set_aside
from gato_data.verify.shard import ShardCheck
from gato_schemas.dataset import (
    DEAD_LETTERS,
    MANIFEST,
    TFDS_FEATURES,
    TFDS_INFO,
    Manifest,
    ShardInfo,
    SplitInfo,
    TaskInfo,
    encode_manifest,
    tfds_dataset_info,
    tfds_features,
)
from gato_schemas.index import SUFFIX, DeadLetter, ShardIndex, encode_index, read_index
from gato_schemas.statistics import Counts
from gato_schemas.tfrecord import frame


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair did.

    Attributes:
        before: what was wrong.
        done: one sentence for every thing that was done.
        after: what is still wrong.
    """

    before: Verdict
    done: tuple[str, ...]
    after: Verdict


def repair_dataset(folder: Path, report: Callable[[str], None] = lambda line: None) -> Repair:
    """Mend what can be mended; whatever is taken out of a file lies in `quarantine/` afterwards, byte by byte.

    Args:
        folder: the dataset.
        report: called with the name of every shard before it is read.

    Raises:
        InputError, FormatError: as `verify_dataset`.
        OutputError: the folder cannot be written, or is being repaired.
    """
    before = verify_dataset(folder, report)
    if before.whole:
        return Repair(before, (), before)
    try:
        with _lock(folder):
            done = tuple(_mend(before))
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be repaired ({error.strerror or error}): mend that, then run the same command again"
        ) from error
    return Repair(before, done, verify_dataset(folder, report))


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise OutputError(f"{folder} is being repaired by another process: wait until it ends") from error
    finally:
        os.close(handle)


def _mend(verdict: Verdict) -> Iterator[str]:
    folder, findings = verdict.folder, verdict.findings
    if append_letters(folder, []):
        yield f"{DEAD_LETTERS} was written anew"
    for state in verdict.shards:
        path = folder / state.info.name
        touched = findings.of(path.name) or findings.of(path.name + SUFFIX)
        if state.check is not None and touched:
            yield from _mend_shard(path, state, state.check, verdict.manifest)
    for name in dict.fromkeys(finding.file for finding in findings.kept if finding.check == "stray"):
        yield f"{name} is now {move_aside(folder / name)}"
    manifest = _recount(folder, verdict)
    content = {
        TFDS_FEATURES: tfds_features(manifest.vocabulary.token_dtype, manifest.patch_encoding.name),
        TFDS_INFO: tfds_dataset_info(manifest.name, manifest.splits, manifest.source.licence),
    }
    for name, value in content.items():
        if json_problem(folder / name, value) is not None:
            yield _replace(folder / name, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
    if manifest != verdict.manifest:
        yield _replace(folder / MANIFEST, encode_manifest(manifest))


def _replace(path: Path, data: bytes) -> str:
    if path.is_file():
        set_aside(path)
    write_durably(path, data)
    return f"{path.name} was written anew"


def _mend_shard(path: Path, state: ShardState, check: ShardCheck, manifest: Manifest) -> Iterator[str]:
    beside = path.with_name(path.name + SUFFIX)
    index: ShardIndex | None = None
    with suppress(OSError, FormatError):
        index = read_index(beside)
        index = index if names_fit(index) else None
    letters = list(_bury(path, check))
    append_letters(path.parent, letters)
    fresh = path.with_name(path.name + ".tmp")
    rewritten = bool(check.bad) or check.frames_damaged
    if rewritten:
        _copy_whole(path, fresh, check, index)
    new = rebuild_index(fresh if rewritten else path, manifest, state.split)
    kept = index.header if index is not None and index.header.fingerprint == manifest.fingerprint else new.header
    header = msgspec.structs.replace(
        new.header,
        shard=path.name,
        part=kept.part,
        statistics=kept.statistics,
        dead_letters=[*kept.dead_letters, *(letter for letter in letters if letter not in kept.dead_letters)],
    )
    data = encode_index(header, new.arrays)
    if beside.is_file() and beside.read_bytes() != data:
        move_aside(beside)  # without an index a shard is never taken for truncated
    if rewritten:
        fresh.replace(path)
        kept_records, aside = counted(header.totals.records, "record"), counted(len(check.bad), "piece")
        yield f"{path.name} keeps {kept_records}; set aside: {aside}"
    if not beside.is_file():
        write_durably(beside, data)
        yield f"{beside.name} was written anew"


def _bury(path: Path, check: ShardCheck) -> Iterator[DeadLetter]:
    for bad in check.bad.values():
        copy = set_aside(path, bad.start, bad.end)
        key = bad.episode_id or f"record {bad.number}"
        reason = f"{bad.reason} (record {bad.number}, byte {bad.start}); the bytes are {copy}"
        yield DeadLetter(path.name, key, "verify", reason, bad.episodes)
    records, episodes = check.lost
    if records:
        reason = f"the shard was truncated: its index knew {records} more records"
        yield DeadLetter(path.name, "the last records", "verify", reason, episodes)


def _copy_whole(path: Path, fresh: Path, check: ShardCheck, index: ShardIndex | None) -> None:
    with fresh.open("wb") as file:
        for piece in pieces(path, index):
            if piece.data is not None and piece.start not in check.bad:
                header, footer = frame(piece.data)
                for part in (header, piece.data, footer):
                    file.write(part)
        file.flush()
        os.fsync(file.fileno())


def _recount(folder: Path, verdict: Verdict) -> Manifest:
    """The manifest with the sizes and totals of what is in the folder now."""
    manifest, complete = verdict.manifest, True
    by_task: dict[str, list[Counts]] = {name: [] for name in manifest.tasks}
    splits: dict[str, list[ShardInfo]] = {split: [] for split in manifest.splits}
    for state in verdict.shards:
        path = folder / (state.info.name + SUFFIX)
        info = state.info
        if state.check is None:
            complete = False
        else:
            index = read_index(path)
            info = ShardInfo(
                name=info.name,
                size=(folder / info.name).stat().st_size,
                digest=index.header.digest,
                totals=index.header.totals,
            )
            for number in np.unique(index.arrays["task"]):
                by_task[index.header.tasks[number]].append(count_records(index.arrays, index.arrays["task"] == number))
        splits[state.split].append(info)
    tasks: dict[str, TaskInfo] = {
        name: msgspec.structs.replace(task, counts=sum_counts(by_task[name]) if complete else task.counts)
        for name, task in manifest.tasks.items()
    }
    if all(task.counts == Counts() for task in manifest.tasks.values()):
        tasks = manifest.tasks
    found = {
        split: SplitInfo(shards=infos, totals=sum_counts(info.totals for info in infos))
        for split, infos in splits.items()
    }
    buried = count_letters(folder, Findings())
    return msgspec.structs.replace(manifest, splits=found, tasks=tasks, dead_letters=buried or 0)
