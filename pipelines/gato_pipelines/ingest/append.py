"""Growing a dataset: what further inputs hold becomes further shards, behind those that it has.

    stage       in the work folder: links to the shards there are under their new names, with new indexes
    write       the shards of the new parts, and commit there, as ever
    keep        the dataset as it is, linked into a folder of its own below `parents/`
    move        links to all shards under their new names, then the manifest
    tidy        the other files follow, the old names go

Until its manifest is replaced, at the end of the fourth step, the dataset stays what it was; an append
that is killed is completed by the same command. Shards are the same files in all places: no byte of
them is copied where the file system knows hard links.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import msgspec

from gato_data.card.files import is_somebodys
from gato_data.growing.copying import Tables, renamed_index
from gato_data.growing.parents import APPEND, parent_folder, parent_of
from gato_data.growing.tasks import joined_success
from gato_data.shards.episodes import OpenDataset
from gato_pipelines.ingest.commit import commit, write_files
from gato_pipelines.ingest.job import Job, finished
from gato_pipelines.ingest.output import is_shard
from gato_pipelines.ingest.summary import Summary, warnings_of
from gato_schemas.dataset import (
    CARD,
    CROISSANT,
    DEAD_LETTERS,
    MANIFEST,
    MANIFEST_COPY,
    PICTURE,
    TEXT_MODEL,
    TFDS_FEATURES,
    TFDS_INFO,
    WORK,
    Manifest,
    Scores,
    TaskInfo,
    read_manifest,
)
from gato_schemas.errors import FormatError
from gato_schemas.index import SUFFIX, index_path
from gato_schemas.origin import Origin

_BESIDE = (MANIFEST_COPY, DEAD_LETTERS, TFDS_INFO, TFDS_FEATURES, CROISSANT, PICTURE, CARD)


def resume(out: Path) -> None:
    """Complete an append that was killed after it had replaced the manifest."""
    with suppress(FormatError):
        grown = read_manifest(out / WORK / APPEND)
        if grown == read_manifest(out):
            _tidy(out, grown)
            shutil.rmtree(out / WORK / APPEND)


def stage(grown: Job, parent: OpenDataset) -> None:
    """Link the shards there are into the folder of a grown dataset, under their new names.

    Args:
        grown: the job of the grown dataset, whose first parts are those of the parent.
        parent: as it is.

    Raises:
        FormatError: an index of it is damaged.
        OutputError: an index does not say any more what its shard was made from.
    """
    grown.out.mkdir(parents=True, exist_ok=True)
    _forget(grown)
    tables = Tables(grown.recipe.fingerprint, list(grown.plan.tasks), grown.plan.agents)
    for split in grown.splits:
        for number, shard in enumerate(parent.shards(split)):
            target = grown.shard(number, split)
            if target.exists() and target.samefile(shard.path) and finished(grown, number) is not None:
                continue
            link(shard.path, target)
            index, _ = shard.load_index()
            index_path(target).unlink(missing_ok=True)
            write = index_path(target).with_suffix(".tmp")
            write.write_bytes(renamed_index(index, target.name, tables))
            write.replace(index_path(target))


def _forget(grown: Job) -> None:
    """Remove what an append of other input left: shards that are none of this job, and what made them a dataset."""
    parts = range(len(grown.plan.parts))
    kept = {grown.shard(n, split).name for n in parts if finished(grown, n) is not None for split in grown.splits}
    for path in grown.out.iterdir():
        if path.is_file() and path.name.removesuffix(SUFFIX) not in kept:
            path.unlink()


def commit_grown(grown: Job, parent: OpenDataset) -> Manifest:
    """Make the grown dataset complete in the folder in which it is made; returns its manifest.

    Raises:
        OutputError: as `commit`.
    """
    before, found = parent.manifest, commit(grown).manifest
    licences = dict.fromkeys([*before.source.licence.split("; "), *found.source.licence.split("; ")])
    manifest = msgspec.structs.replace(
        found,
        source=msgspec.structs.replace(
            found.source,
            inputs=[*before.source.inputs, *found.source.inputs],
            licence="; ".join(filter(None, licences)),
        ),
        libraries=dict(sorted({**before.libraries, **found.libraries}.items())),
        tasks={name: _with_success(task, before.tasks.get(name)) for name, task in found.tasks.items()},
        origin=Origin(how="append", parents=[parent_of(before)]),
    )
    write_files(grown, manifest)
    return manifest


def _with_success(task: TaskInfo, before: TaskInfo | None) -> TaskInfo:
    """A task with the success rate of old and new episodes, where both are known; commit knows that of new ones."""
    if before is None or before.scores is None or task.scores is None:
        return task
    episodes = task.scores.episodes
    fresh = Scores(episodes=episodes - before.scores.episodes, success_rate=task.scores.success_rate)
    known = [before] if not fresh.episodes else [before, msgspec.structs.replace(task, scores=fresh)]
    scores = msgspec.structs.replace(task.scores, success_rate=joined_success(known, episodes))
    return msgspec.structs.replace(task, scores=scores)


def take_place(out: Path, parent: Manifest, grown: Manifest) -> Summary:
    """Let the grown dataset take the place of its parent, which stays as a dataset of its own."""
    fresh = out / WORK / APPEND
    _keep(out, parent)
    for name in _shards(grown):
        link(fresh / name, out / name)
    if (fresh / TEXT_MODEL).exists():
        link(fresh / TEXT_MODEL, out / TEXT_MODEL)
    link(fresh / MANIFEST, out / MANIFEST)
    _tidy(out, grown)
    return Summary(grown, warnings_of(grown))


def _keep(out: Path, parent: Manifest) -> None:
    """Link all files of a dataset into the folder that it has as a parent."""
    kept, fresh = parent_folder(out, parent.content_id), out / WORK / "parent"
    if (kept / MANIFEST).exists():
        return
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for name in (MANIFEST, TEXT_MODEL, *_BESIDE, *_shards(parent)):
        if (out / name).exists():
            link(out / name, fresh / name)
    kept.parent.mkdir(exist_ok=True)
    fresh.replace(kept)


def _tidy(out: Path, grown: Manifest) -> None:
    """Let the other files follow the manifest, and take away the names that shards had before."""
    for name in _BESIDE:
        fresh = out / WORK / APPEND / name
        if fresh.exists() and not (name == CARD and is_somebodys(out / name)):
            link(fresh, out / name)
    named = set(_shards(grown))
    for path in out.iterdir():
        if is_shard(path.name) and path.name not in named:
            path.unlink()


def _shards(manifest: Manifest) -> list[str]:
    """Names of the shards and indexes of a dataset."""
    names = [shard.name for split in manifest.splits.values() for shard in split.shards]
    return [*names, *(name + SUFFIX for name in names)]


def link(source: Path, target: Path) -> None:
    """Give a file another name, at which there may be another one; it is copied where there are no hard links."""
    fresh = target.with_name(target.name + ".tmp")
    fresh.unlink(missing_ok=True)
    try:
        os.link(source, fresh)
    except OSError:
        shutil.copyfile(source, fresh)
    fresh.replace(target)  # does nothing where both are one file
    fresh.unlink(missing_ok=True)
