"""A whole dataset: the manifest, every index against it, every shard against both, and what else lies in the folder."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from gato_data.errors import FormatError, InputError
from gato_data.files import digest_of
from gato_data.remote.as_it_is import whole_file
from gato_data.shards.file import ShardFile
from gato_data.verify.dead_letters import check_dead_letters
from gato_data.verify.findings import Findings
from gato_data.verify.folder import check_stray_files
from gato_data.verify.manifest import find_manifest, header_problems, total_problems
from gato_data.verify.shard import ShardCheck, check_records
from gato_schemas.dataset import MANIFEST, TEXT_MODEL, Manifest, ShardInfo
from gato_schemas.index import SUFFIX, ShardIndex, decode_index
from gato_schemas.statistics import Counts
from gato_schemas.tfds import tfds_files


@dataclass(slots=True)
class ShardState:
    """What was found in one shard and its index.

    Attributes:
        split: the split it belongs to.
        info: what the manifest says of it.
        check: of its content; None where there is no shard that could be read.
        indexed: whether its index could be read.
        replaced: whether another shard stands in its place.
    """

    split: str
    info: ShardInfo
    check: ShardCheck | None = None
    indexed: bool = False
    replaced: bool = False

    @property
    def waits(self) -> bool:
        """Whether mending it would give up what is not damaged."""
        removals = {} if self.check is None else self.check.removals
        return self.replaced or any(removal.whole for removal in removals.values())


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
    findings: Findings
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
        FormatError: it has no manifest and no copy of it, both are damaged, or they are of another version.
    """
    if not folder.is_dir():
        raise InputError(f"there is no dataset folder {folder}")
    findings = Findings()
    try:
        verdict = Verdict(folder, find_manifest(folder, findings), findings)
        for split, info in verdict.manifest.splits.items():
            for shard in info.shards:
                report(shard.name)
                with whole_file(folder / shard.name):
                    verdict.shards.append(_shard(verdict, split, shard))
        _other_files(verdict)
    except OSError as error:
        raise InputError(f"cannot read {error.filename or folder}: {error.strerror or error}") from error
    return verdict


def _shard(verdict: Verdict, split: str, info: ShardInfo) -> ShardState:
    state, path, findings = ShardState(split, info), verdict.folder / info.name, verdict.findings
    if not _readable(path, findings):
        return state
    index = _index(verdict, split, info)
    state.indexed = index is not None
    before = findings.of(info.name)
    state.check = check_records(path, verdict.manifest, index, findings)
    if state.check is None:
        return state
    size = path.stat().st_size
    _judge(state, state.check, None if index is None else index.header.digest, findings, size)
    if size < info.size and findings.of(info.name) == before:
        message = f"the shard is truncated: it has {size} bytes, the manifest says {info.size}"
        findings.about("truncated", info.name, message, "rebuild")
    if state.check.counts != info.totals and findings.of(info.name) == before:
        findings.about("manifest", MANIFEST, f"the totals of {info.name} are not those of its records", "rebuild")
    verdict.bytes += size
    verdict.counts += state.check.counts
    return state


def _judge(state: ShardState, check: ShardCheck, told: str | None, findings: Findings, size: int) -> None:
    """Whether a shard is the one that was written, by the digests in the manifest and in the index (`told`)."""
    name, stored, made = state.info.name, state.info.digest, check.digest
    if made is not None and made in (stored, told):
        findings.withhold(name)
        check.removals = {start: replace(removal, whole=True) for start, removal in check.removals.items()}
        if made != stored:
            message = f"it fits its index, but the manifest was written for another shard: its SHA-256 is {made}"
            findings.about("digest", name, message, "rebuild")
    elif (made is not None and size >= state.info.size) or (check.unindexed and told == stored):
        state.replaced = True
        findings.drop(name, "index")
        owners = "index and manifest were" if told == stored else "the manifest was"
        message = f"it is another shard than the one that {owners} written for: copy that one here again"
        findings.about("digest", name, message, "force")


def _readable(path: Path, findings: Findings) -> bool:
    """Whether a shard is there and could be one."""
    if not path.is_file():
        findings.about("missing", path.name, "the shard is missing: copy it here again, or run the ingest again")
        return False
    try:
        ShardFile(path)
    except FormatError as error:
        findings.about("foreign", path.name, str(error).removeprefix(f"{path.name} "), byte=0)
        return False
    return True


def _index(verdict: Verdict, split: str, info: ShardInfo) -> ShardIndex | None:
    """The index of a shard; None where it cannot be used, which is a finding."""
    name, findings = info.name + SUFFIX, verdict.findings
    path = verdict.folder / name
    if not path.is_file():
        findings.about("missing", name, "the index is missing", "rebuild")
        return None
    data = path.read_bytes()
    try:
        found = decode_index(data, name)
    except FormatError as error:
        findings.about("index", name, str(error).removeprefix(name).lstrip(": "), "rebuild", byte=0)
        return None
    for problem in header_problems(verdict.manifest, split, info, found.header):
        findings.about("index", name, problem, "rebuild")
    if found.header.totals != found.totals():
        findings.about("index", name, "its totals are not the sum of its records", "rebuild")
    return found


def _other_files(verdict: Verdict) -> None:
    manifest, findings, folder = verdict.manifest, verdict.findings, verdict.folder
    for problem in total_problems(manifest):
        findings.about("manifest", MANIFEST, problem, "rebuild")
    for name, wanted in tfds_files(manifest).items():
        if not (folder / name).is_file():
            findings.about("tfds", name, "the file is missing", "rebuild")
        elif (folder / name).read_bytes() != wanted:
            findings.about("tfds", name, "it does not describe this dataset to TFDS as it was written", "rebuild")
    check_dead_letters(folder, manifest, findings)
    if manifest.vocabulary.text_model is not None:
        _text_model(folder / TEXT_MODEL, manifest.vocabulary.text_model, findings)
    check_stray_files(folder, manifest, findings)


def _text_model(path: Path, digest: str, findings: Findings) -> None:
    if not path.is_file():
        findings.about("missing", path.name, "the text model is missing: copy it here again, or run the ingest again")
        return
    if digest_of(path) != digest:
        findings.about("checksum", path.name, "it is not the text model that the dataset was made with", byte=0)
