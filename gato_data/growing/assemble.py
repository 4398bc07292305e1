"""A dataset put together from shards of others: copies, their statistics and dead letters, the manifest last."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import FormatError
from gato_data.growing.copying import Tables, Taken, copy_shard
from gato_data.growing.output import write_manifest
from gato_data.growing.tasks import joined_notes, joined_success
from gato_data.returns import scores_of, task_returns
from gato_data.shards.episodes import OpenDataset
from gato_data.statistics import clipped_notes, merge_statistics
from gato_schemas.dataset import (
    DEAD_LETTERS,
    TEXT_MODEL,
    Manifest,
    ShardInfo,
    SplitInfo,
    TaskInfo,
    shard_name,
)
from gato_schemas.index import DeadLetter, ShardIndex
from gato_schemas.origin import Origin
from gato_schemas.regular_file import read_regular
from gato_schemas.statistics import Counts, FieldStatistics


def fingerprint_of(origin: Origin, tasks: Sequence[str], agents: Sequence[str]) -> str:
    """What decides the bytes of a dataset that is made of others, apart from theirs."""
    values = [origin.how, [parent.fingerprint for parent in origin.parents], origin.where, origin.left_out]
    encoded = msgspec.json.encode([*values, list(tasks), list(agents)])
    return hashlib.sha256(encoded).hexdigest()[:32]


def assemble(
    out: Path,
    manifest: Manifest,
    parents: Sequence[OpenDataset],
    taken: Mapping[str, Sequence[Taken]],
    progress: Callable[[int, int], None],
) -> Manifest:
    """Write the shards, and a manifest that counts them; returns that.

    Args:
        out: an empty folder.
        manifest: what does not depend on the shards; its tables of tasks and agents are those of the dataset.
        parents: whose shards are taken.
        taken: by split, in order.
        progress: called before every shard is written, with how many are and how many there will be.

    Raises:
        FormatError: a shard, an index or another file of a parent is damaged.
    """
    tables = Tables(manifest.fingerprint, list(manifest.tasks), manifest.agents)
    indexes: dict[str, list[ShardIndex]] = {}
    for split, shards in taken.items():
        indexes[split] = []
        for number, each in enumerate(shards):
            path = out / shard_name(manifest.name, split, number, len(shards))
            progress(sum(map(len, indexes.values())), sum(map(len, taken.values())))
            indexes[split].append(copy_shard(each, path, tables))
    letters = _letters(parents, indexes)
    text = b"".join(msgspec.json.encode(letter) + b"\n" for letter in letters)
    whole = all(bool(each.kept.all()) for shards in taken.values() for each in shards)
    statistics = _statistics(parents, indexes, whole=whole)
    complete = msgspec.structs.replace(
        manifest,
        splits={split: SplitInfo.of([_info(index) for index in found]) for split, found in indexes.items()},
        tasks=_counted(manifest, parents, indexes, whole=whole),
        statistics=statistics,
        dead_letters=sum(letter.count for letter in letters),
        dead_letters_digest=hashlib.sha256(text).hexdigest(),
        account=joined_notes([[n for n in manifest.account if n.kind != "clipped"], list(clipped_notes(statistics))]),
    )
    write_manifest(out, complete, text, _text_model(parents, manifest))
    return complete


def _info(index: ShardIndex) -> ShardInfo:
    header = index.header
    return ShardInfo(name=header.shard, size=header.shard_size, digest=header.digest, totals=header.totals)


def _letters(parents: Sequence[OpenDataset], indexes: Mapping[str, Sequence[ShardIndex]]) -> list[DeadLetter]:
    """Those of the indexes, in the order in which a repair makes the list again, and others that only lists have."""
    told = [letter for _, found in sorted(indexes.items()) for index in found for letter in index.header.dead_letters]
    known = {letter for parent in parents for letter in _told(parent)}
    more = [letter for parent in parents for letter in _listed(parent) if letter not in known]
    return [*told, *more]


def _told(parent: OpenDataset) -> list[DeadLetter]:
    splits = parent.manifest.splits
    return [x for split in splits for shard in parent.shards(split) for x in shard.load_index()[0].header.dead_letters]


def _listed(parent: OpenDataset) -> list[DeadLetter]:
    if not parent.manifest.dead_letters:
        return []
    data = _file(parent, DEAD_LETTERS)
    if hashlib.sha256(data).hexdigest() != parent.manifest.dead_letters_digest:
        raise FormatError(
            f"{parent.folder / DEAD_LETTERS} is not as it was written: gato-data verify --repair mends it"
        )
    return [msgspec.json.decode(line, type=DeadLetter) for line in data.splitlines()]


def _text_model(parents: Sequence[OpenDataset], manifest: Manifest) -> bytes | None:
    wanted = manifest.vocabulary.text_model
    if wanted is None:
        return None
    owner = next(parent for parent in parents if parent.manifest.vocabulary.text_model == wanted)
    model = _file(owner, TEXT_MODEL)
    if hashlib.sha256(model).hexdigest() != wanted:
        raise FormatError(
            f"{owner.folder / TEXT_MODEL} is not the one that the dataset was made with: copy it here again"
        )
    return model


def _file(parent: OpenDataset, name: str) -> bytes:
    try:
        return read_regular(parent.folder / name)
    except OSError as error:
        raise FormatError(
            f"{parent.folder / name} cannot be read ({error.strerror}): gato-data verify says more"
        ) from error


def _counted(
    manifest: Manifest, parents: Sequence[OpenDataset], indexes: Mapping[str, list[ShardIndex]], *, whole: bool
) -> dict[str, TaskInfo]:
    """The tasks with what there is of each, and how well those played that are left."""
    counts = dict.fromkeys(manifest.tasks, Counts())
    for found in indexes.values():
        for index in found:
            for name, here in index.totals_by_task():
                counts[name] += here
    returns = task_returns(indexes.get("train", []))
    tasks = {}
    for name, task in manifest.tasks.items():
        scores = scores_of(returns[name]) if task.observations and name in returns else None
        if scores is not None and whole:
            owners = [parent.manifest.tasks[name] for parent in parents if name in parent.manifest.tasks]
            scores = msgspec.structs.replace(scores, success_rate=joined_success(owners, scores.episodes))
        tasks[name] = msgspec.structs.replace(task, counts=counts[name], scores=scores)
    return tasks


def _statistics(
    parents: Sequence[OpenDataset], indexes: Mapping[str, Sequence[ShardIndex]], *, whole: bool
) -> list[FieldStatistics]:
    """Those of the shards, in their order; where an index was rebuilt and has none, those of the manifests."""
    rows = [row for found in indexes.values() for index in found for row in index.header.statistics]
    merged = merge_statistics(rows)
    if whole and _counts(merged) != _counts(
        stored := [row for parent in parents for row in parent.manifest.statistics]
    ):
        return merge_statistics(stored)
    return merged


def _counts(rows: Sequence[FieldStatistics]) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for row in rows:
        key = (row.task, row.role, row.field)
        found[key] = found.get(key, 0) + row.count
    return found
