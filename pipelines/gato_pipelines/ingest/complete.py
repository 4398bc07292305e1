"""A folder that holds a complete dataset: whether it is the one that is asked for, and whole."""

from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import OutputError
from gato_pipelines.ingest.commit import make_manifest
from gato_pipelines.ingest.job import Job, finished
from gato_pipelines.ingest.output import difference
from gato_pipelines.ingest.planning import deciding
from gato_pipelines.ingest.summary import Summary, warnings_of
from gato_schemas.dataset import MANIFEST, Manifest, ShardInfo, read_manifest
from gato_schemas.errors import FormatError
from gato_schemas.index import index_path, read_index

_FOUND = {"splits", "statistics", "dead_letters", "dead_letters_digest", "account", "origin"}
_MADE_OF_OTHERS = {"version", "family", "fingerprint", "max_observation_tokens"}
_ASKED = [name for name in Manifest.__struct_fields__ if name not in _FOUND | _MADE_OF_OTHERS]
"""Of a manifest what is compared: what was asked for, and not what ingesting found."""
_AGAIN = "choose another --out, or --overwrite to make it again"


def already_complete(job: Job) -> Summary | None:
    """The summary of a dataset that is complete; None where there is no manifest.

    Raises:
        OutputError: the dataset was made from other input or with other settings, is damaged, or
            of another version.
    """
    if not (job.out / MANIFEST).exists():
        return None
    manifest = check_same(job)
    digests = {shard.name: shard.digest for shard in _shards(manifest)}
    for number, part in enumerate(job.plan.parts):
        indexes = finished(job, number)
        if indexes is None:
            raise OutputError(
                f"{job.out} holds a complete dataset, but {_why_not_finished(job, number)} ({part.file}): {_AGAIN}"
            )
        for index in indexes.values():
            if index.header.digest != digests.get(index.header.shard):
                raise OutputError(
                    f"{job.out} holds a complete dataset, but {index.header.shard} is not the shard "
                    f"that its manifest was written for ({part.file}): {_AGAIN}"
                )
    return Summary(manifest, warnings_of(manifest), was_complete=True)


def check_same(job: Job) -> Manifest:
    """The manifest of a complete dataset, which has to be one that this job makes.

    Raises:
        OutputError: it was made from other input or with other settings, is damaged, or of another
            version.
    """
    try:
        manifest = read_manifest(job.out)
    except FormatError as error:
        raise OutputError(f"{error}: {_AGAIN}") from error
    if manifest.fingerprint != job.recipe.fingerprint or manifest.name != job.name:
        shards = max((len(split.shards) for split in manifest.splits.values()), default=0)
        stored = _comparable(manifest, shards)
        wanted = _comparable(make_manifest(job, {}, []), len(job.plan.parts))
        what = f" ({difference(stored, wanted)})" if stored != wanted else ""
        raise OutputError(
            f"{job.out} holds a complete dataset made from other input or with other settings{what}: {_AGAIN}"
        )
    return manifest


def without_dead_letters(out: Path) -> Summary | None:
    """The summary of a complete dataset of which nothing was left out or is missing; None otherwise."""
    try:
        manifest = read_manifest(out)
    except FormatError:
        return None
    if manifest.dead_letters or not all(_is_whole(out, shard) for shard in _shards(manifest)):
        return None
    return Summary(manifest, warnings_of(manifest), was_complete=True)


def _shards(manifest: Manifest) -> list[ShardInfo]:
    return [shard for split in manifest.splits.values() for shard in split.shards]


def _is_whole(out: Path, shard: ShardInfo) -> bool:
    path = out / shard.name
    return path.is_file() and path.stat().st_size == shard.size and index_path(path).is_file()


def _comparable(manifest: Manifest, shards: int) -> dict[str, Any]:
    """What a manifest says of settings and input, as JSON."""
    found: dict[str, Any] = {name: getattr(manifest, name) for name in _ASKED} | {"shards": shards}
    found["source"] = msgspec.structs.replace(manifest.source, licence="")
    found["tasks"] = {name: deciding(task) for name, task in manifest.tasks.items()}
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
