"""What a dataset grows into: the job of one ingest of all its inputs, of which the old parts are finished."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from gato_data.errors import OutputError, SettingError
from gato_data.growing.parents import APPEND
from gato_data.growing.tasks import joined_notes, joined_task, replaced, without_notes
from gato_data.settings import recorded
from gato_data.shards.episodes import OpenDataset
from gato_pipelines.ingest.account import filtered_notes
from gato_pipelines.ingest.commit import source_info
from gato_pipelines.ingest.fingerprint import make_recipe
from gato_pipelines.ingest.inputs import InputFolders, unique_name
from gato_pipelines.ingest.job import Job, finished
from gato_pipelines.ingest.output import difference
from gato_pipelines.source import PartScan, Plan
from gato_schemas.account import Note
from gato_schemas.dataset import MANIFEST, WORK, Manifest, TaskInfo, read_manifest
from gato_schemas.episode import Field
from gato_schemas.errors import FormatError
from gato_schemas.index import IndexHeader, Part, ShardIndex

_HERE = "the new input"


def open_parent(job: Job) -> OpenDataset:
    """The dataset that is to grow.

    Raises:
        OutputError: there is none, it is damaged, or it was not made by ingests alone.
    """
    if job.remote is not None:
        raise OutputError("--append wants the folder of a dataset on this machine: copy it here, and back afterwards")
    if not (job.out / MANIFEST).exists():
        raise OutputError(f"{job.out} holds no dataset to append to: leave --append out to make one")
    try:
        manifest = read_manifest(job.out)
    except FormatError as error:
        raise OutputError(str(error)) from error
    if manifest.origin is not None and manifest.origin.how != "append":
        raise OutputError(
            f"{job.out} was made by gato-data {manifest.origin.how}, not of inputs: ingest the new input into a folder "
            "of its own, and merge both"
        )
    if job.settings.name not in ("", manifest.name):
        raise OutputError(f"{job.out} is called {manifest.name}: append without --name, or with this one")
    return OpenDataset(job.out, manifest)


def grown_job(job: Job, parent: OpenDataset, scans: Sequence[PartScan]) -> Job:
    """The job of a dataset that has the parent's parts and then those of this job, in a folder of its own.

    Raises:
        OutputError: the parent was made with other settings, or an index does not say what it was made from.
        MixtureError: a task has other fields, ranges or final timesteps in the new input.
        SettingError: documents that occurred before are to be left out.
    """
    if any(scan.hashes for scan in scans):
        raise SettingError(
            "documents that occurred before are found among all inputs at once: ingest old and new input together, or "
            "append without leaving them out"
        )
    before, names = parent.manifest, _names(parent.manifest, list(job.inputs.given))
    headers = _headers(parent)
    plan = Plan(
        tasks=_tasks(job, before),
        agents=sorted({*before.agents, *job.plan.agents}),
        parts=[*_parts(job, headers), *(_called(part, names) for part in job.plan.parts)],
        notes=joined_notes([_planned(before, headers), job.plan.notes]),
        sizes=[*([None] * len(headers)), *(job.plan.sizes or [None] * len(job.plan.parts))],
        decodes_video=job.plan.decodes_video,
        successes=[*([b""] * len(headers)), *(job.plan.successes or [b""] * len(job.plan.parts))],
    )
    inputs = InputFolders({names[name]: found for name, found in job.inputs.given.items()})
    recipe = make_recipe(job.source, plan, job.settings)
    grown = replace(job, plan=plan, recipe=recipe, inputs=inputs, out=job.out / WORK / APPEND, name=before.name)
    _check_settings(grown, before, job)
    return grown


def copies(grown: Job, parent: OpenDataset) -> tuple[int, int]:
    """How many of the new episodes the parent has already, and how many there are.

    Raises:
        OutputError: a part is not finished.
    """
    splits, fresh = parent.manifest.splits, list[ShardIndex]()
    for number in range(len(parent.shards("train")), len(grown.plan.parts)):
        if (found := finished(grown, number)) is None:
            raise OutputError(f"part {number} is not finished: run the same command again")
        fresh += found.values()
    known = [shard.load_index()[0].episode_hash for split in splits for shard in parent.shards(split)]
    old = np.unique(np.concatenate([np.zeros(0, np.uint64), *known]))
    new = np.concatenate([np.zeros(0, np.uint64), *(index.episode_hash[index.chunk == 0] for index in fresh)])
    return int(np.count_nonzero(np.isin(new, old))), len(new)


def _headers(parent: OpenDataset) -> list[IndexHeader]:
    """The headers of the indexes of the train split, one a part."""
    return [shard.load_index()[0].header for shard in parent.shards("train")]


def _parts(job: Job, headers: Sequence[IndexHeader]) -> list[Part]:
    for header in headers:
        if not header.part.file:
            raise OutputError(
                f"the index of {header.shard} in {job.out} was rebuilt and does not say any more what it was made "
                "from: ingest the new input into a folder of its own, and merge both"
            )
    return [header.part for header in headers]


def _names(before: Manifest, names: Sequence[str]) -> dict[str, str]:
    """What new inputs are called beside the old ones."""
    taken, found = set(before.source.inputs), dict[str, str]()
    for name in names:
        found[name] = unique_name(name, taken)
        taken.add(found[name])
    return found


def _called(part: Part, names: dict[str, str]) -> Part:
    return msgspec.structs.replace(part, input=names[part.input])


def _tasks(job: Job, before: Manifest) -> dict[str, TaskInfo]:
    found = dict(before.tasks)
    within = {role: before.source.settings.get(f"{role}_range") == "minmax" for role in ("observation", "action")}
    for name, task in job.plan.tasks.items():
        if (old := before.tasks.get(name)) is None:
            found[name] = task
            continue
        if replaced(old.filter) != replaced(task.filter):
            raise OutputError(
                f"the filter by return of task {name!r} was decided by the episodes of {job.out} alone, and is another "
                "one with the new input: ingest both together, or merge two datasets"
            )
        fresh = msgspec.structs.replace(
            task,
            observations=_covered(old.observations, task.observations) if within["observation"] else task.observations,
            actions=_covered(old.actions, task.actions) if within["action"] else task.actions,
        )
        found[name] = joined_task(name, old, fresh, (str(job.out), _HERE))
    return {name: msgspec.structs.replace(found[name], scores=None) for name in sorted(found)}


def _covered(old: Sequence[Field], new: Sequence[Field]) -> list[Field]:
    """The new fields, those within the range of the old ones with that range, which is that of all episodes then."""
    known = {field.name: field for field in old}
    return [_in_range(known.get(field.name, field), field) for field in new]


def _in_range(old: Field, new: Field) -> Field:
    if old.low is None or old.high is None or new.low is None or new.high is None:
        return new
    lows, highs = (np.asarray(value, np.float64) for value in (old.low, old.high))
    covers = lows.shape == np.shape(new.low) and bool((lows <= new.low).all() and (highs >= new.high).all())
    return replace(new, low=old.low, high=old.high) if covers else new


def _planned(before: Manifest, headers: Sequence[IndexHeader]) -> list[Note]:
    """What of the parent's account its planning said: all but what reading, filters and statistics did."""
    told = [note for header in headers for note in header.notes]
    rest = without_notes(before.account, [*told, *filtered_notes(before.tasks)])
    return [note for note in rest if note.kind != "clipped"]


def _check_settings(grown: Job, before: Manifest, job: Job) -> None:
    """Check that the old shards are what this job would make of their input.

    Raises:
        OutputError: they are not; names the first setting that differs.
    """
    source, vocabulary = source_info(job), grown.recipe.vocabulary.info
    libraries = {name: version for name, version in grown.recipe.libraries.items() if name in before.libraries}
    if before.vocabulary.text_model is None:
        vocabulary = msgspec.structs.replace(vocabulary, text_model=None)
    stored = {
        "source": before.source.name,
        "settings": before.source.settings,
        "family": before.family,
        "holdout": before.holdout,
        "tokenization": before.tokenization,
        "patch_encoding": before.patch_encoding,
        "vocabulary": before.vocabulary,
        "libraries": {name: version for name, version in before.libraries.items() if name in libraries},
    }
    wanted = {
        "source": source.name,
        "settings": source.settings,
        "family": job.source.made.family,
        "holdout": job.settings.holdout,
        "tokenization": recorded(job.settings.tokenize),
        "patch_encoding": job.settings.encoding,
        "vocabulary": vocabulary,
        "libraries": libraries,
    }
    was, now = (msgspec.json.decode(msgspec.json.encode(values), type=dict[str, Any]) for values in (stored, wanted))
    if was != now:
        raise OutputError(
            f"{job.out} was made with other settings ({difference(was, now)}): append with the same ones, or ingest "
            "the new input into a folder of its own"
        )
