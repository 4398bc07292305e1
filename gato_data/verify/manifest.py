"""Which manifest the files of a folder speak for: the one that is stored, or its copy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import FormatError
from gato_data.remote.mirror import mirror_of, origin
from gato_data.shards.index import readable_indexes
from gato_data.verify.findings import Findings
from gato_schemas.dataset import (
    MANIFEST,
    MANIFEST_COPY,
    WORK,
    Manifest,
    ShardInfo,
    SplitInfo,
    decode_manifest,
    encode_manifest,
)
from gato_schemas.dataset import read_manifest as read_stored
from gato_schemas.index import IndexHeader
from gato_schemas.statistics import Counts
from gato_schemas.versioned import VersionError


def find_manifest(folder: Path, findings: Findings) -> Manifest:
    """The manifest of a dataset; what is wrong with the stored one or its copy is a finding.

    Where both are whole and differ, the one that the indexes contradict less is taken: they stand beside the shards, a
    manifest sums them up.

    Raises:
        FormatError: neither is whole, or they are of another version.
        OSError: a file cannot be read.
    """
    found: dict[str, Manifest] = {}
    problems: dict[str, str] = {}
    for name in (MANIFEST, MANIFEST_COPY):
        if not (folder / name).is_file():
            problems[name] = "the file is missing"
            continue
        data = (folder / name).read_bytes()
        try:
            found[name] = decode_manifest(data, name)
        except VersionError as error:
            problems[name] = "it " + str(error).removeprefix(f"{name} ").partition(":")[0]
        except FormatError as error:
            problems[name] = "it " + str(error).removeprefix(f"{name} ")
        else:
            if data != encode_manifest(found[name]):
                problems[name] = "it is not as it was written: its spaces or the order of its keys are others"
    unfinished = not (folder / MANIFEST).is_file() and (folder / WORK).exists()
    if not found or unfinished:
        if mirror_of(folder) is None:
            read_stored(folder)
        why = f" ({problems[MANIFEST]})" if MANIFEST in problems else ""
        raise FormatError(f"{origin(folder / MANIFEST)} cannot be used{why}, nor can its copy: copy either there again")
    manifest, *others = found.values()
    if any(known != manifest for known in others):
        manifest = min(found.values(), key=lambda known: _contradictions(folder, known))
    for name, known in found.items():
        if known != manifest:
            problems[name] = "it says something else than the other one, which fits the indexes better"
    for name, problem in problems.items():
        findings.about("manifest", name, problem, "rebuild")
    return manifest


def _contradictions(folder: Path, manifest: Manifest) -> int:
    count = sum(1 for _ in total_problems(manifest))
    for split, shard, index in readable_indexes(folder, manifest):
        if index is None:
            count += not (folder / shard.name).is_file()
        else:
            count += sum(1 for _ in header_problems(manifest, split, shard, index.header))
    return count


def header_problems(manifest: Manifest, split: str, info: ShardInfo, header: IndexHeader) -> Iterator[str]:
    """What the header of an index says otherwise than a manifest."""
    wanted: dict[str, Any] = {
        "shard": info.name,
        "shard_size": info.size,
        "digest": info.digest,
        "split": split,
        "fingerprint": manifest.fingerprint,
        "token_dtype": manifest.vocabulary.token_dtype,
        "patch_encoding": manifest.patch_encoding.name,
        "tasks": list(manifest.tasks),
        "agents": list(manifest.agents),
        "totals": info.totals,
    }
    for key, value in wanted.items():
        if getattr(header, key) != value:
            yield f"its {key} is {_short(getattr(header, key))}, the manifest says {_short(value)}"


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int) else msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else text[:80] + "..."


def total_problems(manifest: Manifest) -> Iterator[str]:
    """Sums in a manifest that do not agree with what they are sums of."""
    for name, split in manifest.splits.items():
        if split.totals != SplitInfo.of(split.shards).totals:
            yield f"the totals of split {name} are not those of its shards"
    tasks = sum((task.counts for task in manifest.tasks.values()), Counts())
    if tasks != manifest.totals and tasks != Counts():
        yield "the counts of the tasks are not those of the splits"
