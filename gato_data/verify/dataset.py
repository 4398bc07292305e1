"""A whole dataset: the manifest, every index against it, every shard against both, and what else lies in the folder."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import FormatError, InputError
from gato_data.shard_writer import count_records
from gato_data.statistics import sum_counts
from gato_data.verify.findings import Finding, Findings, Remedy
from gato_data.verify.folder import letters, strangers
from gato_data.verify.shard import ShardCheck, check_shard
from gato_schemas.dataset import (
    DEAD_LETTERS,
    MANIFEST,
    TEXT_MODEL,
    TFDS_FEATURES,
    TFDS_INFO,
    Manifest,
    ShardInfo,
    read_manifest,
    tfds_dataset_info,
    tfds_features,
)
from gato_schemas.index import SUFFIX, IndexHeader, ShardIndex, decode_index
from gato_schemas.statistics import Counts
from gato_schemas.tfrecord import refuse_foreign


@dataclass(slots=True)
class ShardState:
    """What was found in one shard and its index.

    Attributes:
        split: the split it belongs to.
        info: what the manifest says of it.
        check: of its content; None where there is no shard that could be read.
    """

    split: str
    info: ShardInfo
    check: ShardCheck | None = None


@dataclass(slots=True)
class Verdict:
    """What a check of a dataset found.

    Attributes:
        folder: the dataset.
        manifest: as it was read.
        findings: everything that is wrong, and notes.
        shards: in the order of the manifest.
        counts: of all records that could be read.
        bytes: of all shards that were read.
    """

    folder: Path
    manifest: Manifest
    findings: Findings = field(default_factory=Findings)
    shards: list[ShardState] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    bytes: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings.count

    @property
    def mendable(self) -> int:
        """How many of the findings that are kept a repair does something about."""
        return sum(finding.remedy != "none" for finding in self.findings.kept)


def verify_dataset(folder: Path, report: Callable[[str], None] = lambda line: None) -> Verdict:
    """Read every byte of a dataset; memory is bounded by one record and one shard's index.

    Args:
        folder: the dataset.
        report: called with the name of every shard before it is read.

    Raises:
        InputError: there is no such folder, or a file in it cannot be read.
        FormatError: it has no manifest, or one that is damaged or of another version.
    """
    if not folder.is_dir():
        raise InputError(f"there is no dataset folder {folder}")
    verdict = Verdict(folder, read_manifest(folder))
    try:
        for split, info in verdict.manifest.splits.items():
            for shard in info.shards:
                report(shard.name)
                verdict.shards.append(_shard(verdict, split, shard))
        _totals(verdict)
        _other_files(verdict)
    except OSError as error:
        raise InputError(f"cannot read {error.filename or folder}: {error.strerror or error}") from error
    return verdict


def _shard(verdict: Verdict, split: str, info: ShardInfo) -> ShardState:
    state, path, findings = ShardState(split, info), verdict.folder / info.name, verdict.findings
    if not _readable(path, findings):
        return state
    index = _index(verdict, split, info)
    before = findings.of(info.name)
    state.check = check_shard(path, verdict.manifest, index, findings)
    if state.check is None:
        return state
    size = path.stat().st_size
    if size != info.size and findings.of(info.name) == before:
        what = "is truncated" if size < info.size else "has more than was written"
        add(findings, "truncated" if size < info.size else "manifest", info.name,
            f"the shard {what}: it has {size} bytes, the manifest says {info.size}", "rebuild")  # fmt: skip
    elif state.check.counts != info.totals and findings.of(info.name) == before:
        add(findings, "manifest", MANIFEST, f"the totals of {info.name} are not those of its records", "rebuild")
    verdict.bytes += size
    verdict.counts = sum_counts([verdict.counts, state.check.counts])
    return state


def _readable(path: Path, findings: Findings) -> bool:
    """Whether a shard is there and could be one."""
    if not path.is_file():
        add(findings, "missing", path.name, "the shard is missing: copy it here again, or run the ingest again")
        return False
    with path.open("rb") as file:
        head = file.read(64)
    try:
        refuse_foreign(head, path)
    except FormatError as error:
        add(findings, "foreign", path.name, str(error).removeprefix(f"{path.name} "), byte=0)
        return False
    return True


def _index(verdict: Verdict, split: str, info: ShardInfo) -> ShardIndex | None:
    """The index of a shard; None where it cannot be used, which is a finding."""
    name, findings = info.name + SUFFIX, verdict.findings
    path = verdict.folder / name
    if not path.is_file():
        add(findings, "missing", name, "the index is missing", "rebuild")
        return None
    data = path.read_bytes()
    try:
        found = decode_index(data, name)
    except FormatError as error:
        add(findings, "index", name, str(error).removeprefix(name).lstrip(": "), "rebuild", byte=0)
        return None
    for problem in _header_problems(verdict.manifest, split, info, found):
        add(findings, "index", name, problem, "rebuild")
    return found if names_fit(found) else None


def names_fit(index: ShardIndex) -> bool:
    """Whether every number of a task or an agent is in the index's own tables."""
    tables = (("task", index.header.tasks), ("agent", index.header.agents))
    return not any(len(index) and index.arrays[key].max() >= len(table) for key, table in tables)


def _header_problems(manifest: Manifest, split: str, info: ShardInfo, index: ShardIndex) -> Iterator[str]:
    header = index.header
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
    if _differs(header, index):
        yield "its totals are not the sum of its records"
    for key, table in (("task", header.tasks), ("agent", header.agents)):
        if len(index) and int(index.arrays[key].max()) >= len(table):
            yield f"a record has {key} number {int(index.arrays[key].max())} of {len(table)}"


def _differs(header: IndexHeader, index: ShardIndex) -> bool:
    return header.totals != count_records(index.arrays)


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int) else msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else text[:80] + "..."


def _totals(verdict: Verdict) -> None:
    manifest, findings = verdict.manifest, verdict.findings
    for name, split in manifest.splits.items():
        if split.totals != sum_counts(shard.totals for shard in split.shards):
            add(findings, "manifest", MANIFEST, f"the totals of split {name} are not those of its shards", "rebuild")
    tasks = sum_counts(task.counts for task in manifest.tasks.values())
    every = sum_counts(split.totals for split in manifest.splits.values())
    if tasks != every and tasks != Counts():
        add(findings, "manifest", MANIFEST, "the counts of the tasks are not those of the splits", "rebuild")


def _other_files(verdict: Verdict) -> None:
    manifest, findings, folder = verdict.manifest, verdict.findings, verdict.folder
    content = {
        TFDS_FEATURES: tfds_features(manifest.vocabulary.token_dtype, manifest.patch_encoding.name),
        TFDS_INFO: tfds_dataset_info(manifest.name, manifest.splits, manifest.source.licence),
    }
    for name, wanted in content.items():
        if (problem := json_problem(folder / name, wanted)) is not None:
            add(findings, "tfds", name, problem, "rebuild")
    found = letters(folder, findings)
    if found is not None and found != manifest.dead_letters:
        add(findings, "manifest", DEAD_LETTERS, f"it has {found} episodes, the manifest says {manifest.dead_letters}",
            "rebuild")  # fmt: skip
    if manifest.vocabulary.text_model is not None:
        _text_model(folder / TEXT_MODEL, manifest.vocabulary.text_model, findings)
    strangers(folder, manifest, findings)


def json_problem(path: Path, wanted: dict[str, Any]) -> str | None:
    """Why a file does not hold this JSON; None where it does."""
    if not path.is_file():
        return "the file is missing"
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return f"it is no JSON ({error})"
    return None if found == wanted else "it does not describe this dataset to TFDS"


def _text_model(path: Path, digest: str, findings: Findings) -> None:
    if not path.is_file():
        add(findings, "missing", path.name, "the text model is missing: copy it here again, or run the ingest again")
        return
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
            add(findings, "checksum", path.name, "it is not the text model that the dataset was made with", byte=0)


def add(
    findings: Findings, check: str, file: str, message: str, remedy: Remedy = "none", *, byte: int | None = None
) -> None:
    """Take a finding about a whole file."""
    findings.add(Finding(check=check, file=file, message=message, remedy=remedy, byte=byte))
