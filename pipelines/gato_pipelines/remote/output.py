"""Remote outputs: a folder of this machine that looks like the dataset, and what copies it there.

The folder holds everything but the content of shards: a shard is written here, copied there, and
then is a file of its size without a block on the disk. What is there is the truth: every run begins
with a new folder, made after what is there. A shard arrives before its index, which stands for it,
and the manifest last, so a run that is killed leaves there what a local one would leave.
"""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gato_data.errors import InputError, OutputError
from gato_data.remote.fetch import fetch
from gato_data.remote.folder import RemoteFolder
from gato_pipelines.remote.input import make_placeholder, make_placeholders
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
)
from gato_schemas.index import SUFFIX

_REST = (TEXT_MODEL, DEAD_LETTERS, CROISSANT, PICTURE, CARD, TFDS_FEATURES, TFDS_INFO, MANIFEST_COPY, MANIFEST)
"""What lies beside the shards, in the order in which it is copied."""
_SCANS = f"{WORK}/scans.json"
_SCAN = re.compile(r"scan-[0-9a-f]{16}-\d{5,}\.json")
_JOB = f"{WORK}/job.json"


def _is_scan(name: str) -> bool:
    folder, _, name = name.rpartition("/")
    return folder == WORK and _SCAN.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class RemoteOutput:
    """Copies a dataset to where it belongs; it travels to workers that see the same disk.

    Attributes:
        remote: where the dataset belongs.
        out: the folder of this machine that stands for it.
    """

    remote: RemoteFolder
    out: Path

    def pull(self) -> None:
        """Make the folder after what is there.

        Raises:
            InputError: the place cannot be read.
        """
        sizes = self.remote.sizes()
        wanted = [name for name in sizes if name.endswith(SUFFIX) or name in (*_REST, _JOB, _SCANS) or _is_scan(name)]
        if "" in sizes:
            raise OutputError(f"{self.remote.shown} is a file: --out wants a folder")
        make_placeholders(self.remote.address, self.out, sizes)
        self._get(wanted)
        if _SCANS in sizes:
            self._unpack_scans()

    def _get(self, names: Sequence[str]) -> None:
        """Copy files here; what another process has removed meanwhile is not here either."""
        try:
            self.remote.get(names, [self.out / name for name in names])
        except InputError:
            there = self.remote.sizes()
            if there.keys() >= set(names):
                raise
            for name in set(names) - there.keys():
                (self.out / name).unlink(missing_ok=True)
            self._get([name for name in names if name in there])

    def names(self) -> set[str]:
        """The files of the folder."""
        return {path.relative_to(self.out).as_posix() for path in self.out.rglob("*") if path.is_file()}

    def drop(self, before: Set[str]) -> None:
        """Remove there what was in the folder and is not any more, the manifest first; what came since then stays."""
        gone = [name for name in self.remote.sizes() if name in before and not (self.out / name).exists()]
        self.remote.remove(sorted(gone, key=lambda name: (name != MANIFEST, not name.endswith(SUFFIX), name)))

    def remove(self, names: Sequence[str]) -> None:
        """Remove files there; those that are gone already are no error."""
        self.remote.remove(names)

    def push_claim(self) -> None:
        """Note there what the dataset is made with.

        Raises:
            OutputError: somebody else noted something else at the same time.
        """
        self.note_claim()
        if self.remote.read(_JOB) != (self.out / _JOB).read_bytes():
            raise OutputError(f"another ingest is writing to {self.remote.shown}: wait until it ends")

    def note_claim(self) -> None:
        """Note there what the dataset is made with, as all tasks of an array have agreed."""
        self.remote.put(self.out / _JOB, _JOB)

    def push_scans(self) -> None:
        """Keep what the planning pass found: it had to read the whole input."""
        scans = {path.name: msgspec.Raw(path.read_bytes()) for path in (self.out / WORK).glob("scan-*.json")}
        (self.out / _SCANS).write_bytes(msgspec.json.encode(scans))
        self.remote.put(self.out / _SCANS, _SCANS)

    def push_scan(self, path: Path) -> None:
        """Keep what one task of an array found, for the others."""
        self.remote.put(path, f"{WORK}/{path.name}")

    def pull_scans(self, names: Set[str]) -> None:
        """Get those of these scans that other tasks have left there."""
        there = RemoteFolder(f"{self.remote.address}/{WORK}")
        self._get([f"{WORK}/{name}" for name in sorted(names & there.sizes().keys())])

    def indexes(self) -> set[str]:
        """Names of the indexes that are there now."""
        return {name for name in self.remote.sizes() if name.endswith(SUFFIX)}

    def _unpack_scans(self) -> None:
        try:
            scans = msgspec.json.decode((self.out / _SCANS).read_bytes(), type=dict[str, msgspec.Raw])
        except msgspec.MsgspecError:
            return  # they are scanned again
        for name, content in scans.items():
            if _SCAN.fullmatch(name):
                (self.out / WORK / name).write_bytes(content)

    def push_shard(self, shard: Path, index: Path) -> None:
        """Copy a shard and its index, whose names here may be temporary folders'; the shard's content goes from here.

        Raises:
            OutputError: it cannot be written there.
        """
        self.remote.put(shard, shard.name)
        self.remote.put(index, index.name)
        make_placeholder(shard, shard.stat().st_size)

    def read_shard(self, name: str, first: int, size: int) -> bytes:
        """Bytes of a shard that was copied there.

        Raises:
            InputError: they cannot be read.
        """
        return fetch(self.remote, name, None, first, first + size, lambda data: "")

    def push_rest(self) -> None:
        """Copy what makes the dataset complete, the manifest last, and remove what the ingest needed."""
        for name in _REST:
            if (self.out / name).exists():
                self.remote.put(self.out / name, name)
        self.tidy()

    def tidy(self) -> None:
        """Remove there what a finished ingest does not need any more."""
        self.remote.remove([name for name in self.remote.sizes() if name.startswith(f"{WORK}/")])
        self.remote.remove_folder(WORK)

    def push_dead_letters(self) -> None:
        """Copy the list of what could not be used, so that a user can look at it."""
        if (self.out / DEAD_LETTERS).exists():
            self.remote.put(self.out / DEAD_LETTERS, DEAD_LETTERS)
