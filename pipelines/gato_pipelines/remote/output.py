"""Remote outputs: a folder of this machine that looks like the dataset, and what copies it there.

The folder holds everything but the content of shards: a shard is written here, copied there, and
then is a file of its size without a block on the disk. What is there is the truth: every run begins
with a new folder, made after what is there, and follows what workers leave there that do not see
it. A shard arrives before its index, which stands for it, and the manifest last, so a run that is
killed leaves there what a local one would leave.
"""

import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from gato_data.errors import InputError, OutputError
from gato_data.files import make_placeholder
from gato_data.remote.fetch import fetch
from gato_data.remote.folder import RemoteFolder
from gato_pipelines.remote.placeholders import make_placeholders
from gato_pipelines.remote.scratch import roomy, scratch_of
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
_JOB = f"{WORK}/job.json"
_SCAN = re.compile(rf"{re.escape(WORK)}/scan-[0-9a-f]{{16}}-\d{{5,}}\.json")


@dataclass(frozen=True, slots=True)
class RemoteOutput:
    """Copies a dataset to where it belongs; it travels to workers as an address.

    Attributes:
        remote: where the dataset belongs.
        run: whose folder on this machine stands for it.
        place: what it is called in there.
    """

    remote: RemoteFolder
    run: str
    place: str

    @property
    def out(self) -> Path:
        """The folder of this machine that stands for it."""
        return scratch_of(self.run) / "out" / self.place

    def below(self, name: str) -> "RemoteOutput":
        """A folder inside it."""
        return RemoteOutput(RemoteFolder(f"{self.remote.address}/{name}"), self.run, f"{self.place}/{name}")

    def pull(self) -> None:
        """Make the folder after what is there.

        Raises:
            InputError: the place cannot be read.
        """
        sizes = self.remote.sizes()
        if "" in sizes:
            raise OutputError(f"{self.remote.shown} is a file: --out wants a folder")
        self.out.parent.mkdir(parents=True, exist_ok=True)
        make_placeholders(self.remote.address, self.out, sizes)
        self._get(sizes)

    def follow(self) -> None:
        """Make here what workers have left there since: scans, indexes, and shards of the right size.

        Raises:
            InputError: the place cannot be read.
        """
        sizes = self.remote.sizes()
        fresh = {name: size for name, size in sizes.items() if not (self.out / name).exists()}
        shards = {name: size for name, size in fresh.items() if name + SUFFIX in sizes}
        make_placeholders(self.remote.address, self.out, shards)
        self._get([name for name in fresh if name.endswith(SUFFIX) or _SCAN.fullmatch(name)])

    def have_shard(self, name: str) -> None:
        """Have the index of a shard, and the shard as a file of its size, where both are there."""
        if (size := self.remote.size(name)) is not None and self.remote.size(name + SUFFIX) is not None:
            make_placeholders(self.remote.address, self.out, {name: size})
            self._get([name + SUFFIX])

    def _get(self, names: Iterable[str]) -> None:
        """Copy what of these files is looked into, each whole; what others have removed is not here either."""
        wanted = [n for n in names if n.endswith(SUFFIX) or n in (*_REST, _JOB) or _SCAN.fullmatch(n)]
        fresh = [self.out / f"{name}.tmp" for name in wanted]
        for path in fresh:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with roomy():
                self.remote.get(wanted, fresh)
        except InputError:
            there = self.remote.sizes()
            if there.keys() >= set(wanted):
                raise
            for name in set(wanted) - there.keys():
                (self.out / name).unlink(missing_ok=True)
            return self._get([name for name in wanted if name in there])
        for name, path in zip(wanted, fresh, strict=True):
            path.replace(self.out / name)

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

    def pull_scans(self, names: Set[str]) -> None:
        """Get those of these scans that other tasks have left there."""
        there = RemoteFolder(f"{self.remote.address}/{WORK}")
        self._get([f"{WORK}/{name}" for name in sorted(names & there.sizes().keys())])

    def indexes(self) -> set[str]:
        """Names of the indexes that are there now."""
        return {name for name in self.remote.sizes() if name.endswith(SUFFIX)}

    def push_shard(self, shard: Path, index: Path) -> None:
        """Copy a shard and its index, whose names here may be temporary folders'; the shard's content goes from here.

        Raises:
            OutputError: it cannot be written there.
        """
        self.remote.put(shard, shard.name)
        self.remote.put(index, index.name)
        make_placeholder(shard, shard.stat().st_size)

    def take(self, shard: str, of: "RemoteOutput") -> None:
        """Give a shard of another folder there, and then its index, the place that they have in this one.

        Raises:
            OutputError: it cannot be written there.
        """
        for name in (shard, shard + SUFFIX):
            of.remote.move(name, self.remote)

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

    def tidy_unclaimed(self) -> None:
        """The same of an ingest that ended before it noted what the dataset is made with, unless another one did."""
        if self.remote.size(_JOB) is None:
            self.tidy()

    def push_dead_letters(self) -> None:
        """Copy the list of what could not be used, so that a user can look at it."""
        if (self.out / DEAD_LETTERS).exists():
            self.remote.put(self.out / DEAD_LETTERS, DEAD_LETTERS)
