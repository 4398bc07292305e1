"""What else lies in a dataset's folder: files that the manifest does not name."""

import re
from pathlib import Path

from gato_data.card.files import stale_card
from gato_data.growing.parents import APPEND, PARENTS
from gato_data.verify.findings import Findings
from gato_schemas.dataset import BESIDE_SHARDS, WORK, Manifest
from gato_schemas.index import SUFFIX

QUARANTINE = "quarantine"
"""Folder inside a dataset that holds what a repair set aside."""
_GIT = ".gitattributes"
"""What a hub puts into every folder that it stores."""
_SHARD = re.compile(r".*\.tfrecord(-\d+-of-\d+)?(\.index)?")


def check_stray_files(folder: Path, manifest: Manifest, findings: Findings) -> None:
    """Find shards that the manifest does not name, and note other files."""
    ours = {*BESIDE_SHARDS, _GIT}
    for split in manifest.splits.values():
        for shard in split.shards:
            ours |= {shard.name, shard.name + SUFFIX}
    for sentence in stale_card(folder, manifest):
        findings.note(sentence)
    for path in folder.iterdir():
        if path.name in ours:
            continue
        if path.name == QUARANTINE and path.is_dir():
            findings.note(f"{QUARANTINE}/ holds what a repair set aside")
        elif path.name == PARENTS and path.is_dir():
            findings.note(
                f"{PARENTS}/ holds what the dataset was before it grew: each is a dataset, to be verified alone"
            )
        elif path.name == WORK and path.is_dir():
            findings.note(f"{WORK}/ is of an ingest that was interrupted: run the same command again")
        elif _SHARD.fullmatch(path.name) and (folder / WORK / APPEND).is_dir():
            findings.note(f"{path.name} is of an append that was interrupted: run the same command again")
        elif _SHARD.fullmatch(path.name):
            message = "the manifest does not name it, but a program that takes all shards of the folder would read it"
            findings.about("stray", path.name, message, "quarantine" if path.suffix == SUFFIX else "force")
        else:
            findings.note(f"{path.name} is no file of a dataset")
