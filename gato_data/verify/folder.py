"""What else lies in a dataset's folder: dead letters, and files that the manifest does not name."""

import re
from pathlib import Path

import msgspec

from gato_data.verify.findings import Finding, Findings, Remedy
from gato_schemas.dataset import DEAD_LETTERS, MANIFEST, TEXT_MODEL, TFDS_FEATURES, TFDS_INFO, Manifest
from gato_schemas.index import SUFFIX, DeadLetter

QUARANTINE = "quarantine"
"""Folder inside a dataset that holds what a repair set aside."""
_MAX_LINE = 1 << 20
_SHARD = re.compile(r".*\.tfrecord(-\d+-of-\d+)?(\.index)?")


def letters(folder: Path, findings: Findings) -> int | None:
    """How many episodes the dead letters name; None where they cannot be read, which is a finding."""
    path, total, number = folder / DEAD_LETTERS, 0, 0
    if not path.is_file():
        _add(findings, "missing", path.name, "the file is missing", "rebuild")
        return None
    with path.open("rb") as file:
        while line := file.readline(_MAX_LINE):
            try:
                total += msgspec.json.decode(line, type=DeadLetter).count
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                at = file.tell() - len(line)
                _add(
                    findings, "dead letters", path.name, f"line {number + 1} is no dead letter ({error})", "rebuild", at
                )
                return None
            number += 1
    return total


def strangers(folder: Path, manifest: Manifest, findings: Findings) -> None:
    """Find shards that the manifest does not name, and note other files."""
    ours = {MANIFEST, DEAD_LETTERS, TEXT_MODEL, TFDS_FEATURES, TFDS_INFO}
    for split in manifest.splits.values():
        for shard in split.shards:
            ours |= {shard.name, shard.name + SUFFIX}
    for path in folder.iterdir():
        if path.name in ours:
            continue
        if path.name == QUARANTINE and path.is_dir():
            findings.note(f"{QUARANTINE}/ holds what a repair set aside")
        elif _SHARD.fullmatch(path.name):
            message = "the manifest does not name it, but a program that takes all shards of the folder would read it"
            _add(findings, "stray", path.name, message, "quarantine")
        else:
            findings.note(f"{path.name} is no file of a dataset")


def _add(findings: Findings, check: str, file: str, message: str, remedy: Remedy, byte: int | None = None) -> None:
    findings.add(Finding(check=check, file=file, message=message, remedy=remedy, byte=byte))
