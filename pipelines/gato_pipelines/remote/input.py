"""Remote inputs: a folder of this machine that looks like the input, whose large files come when they are read.

Files that planning has to look into are copied at the beginning. The others are placeholders of the
right size, without a block on the disk. Those that only the worker of their own part opens come whole,
see `remote.whole_files`. Those of which many workers read something stay placeholders, and are opened
with `remote.ranged`; so is one of the former that is looked into before.

The one who starts the ingest lists the address, and leaves the list in the work folder. A worker that
does not see his folder makes one of its own after that list.
"""

import fcntl
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec

from gato_data.errors import InputError
from gato_data.remote.address import is_web, last_name, redacted, without_query
from gato_data.remote.folder import RemoteFolder, RemoteObject
from gato_pipelines.containers.recognise import TELLING
from gato_pipelines.files.git_lfs import check_fetched
from gato_pipelines.files.unchanged import files_of, files_to_scan, size_of
from gato_pipelines.remote.copies import copy_files
from gato_pipelines.remote.placeholders import make_placeholders
from gato_pipelines.remote.ranged import check_same, know_ranged, knows_ranged
from gato_pipelines.remote.scratch import scratch_of
from gato_pipelines.remote.whole_files import WholeFiles
from gato_pipelines.remote.work_files import WorkFiles
from gato_pipelines.source import Source
from gato_schemas.index import Part

_READY, _IS_FILE, _LISTED, _RANGED, _COPIED = "ready", "is-file", "listed.json", "ranged.json", "copied"
_SMALL = 1 << 20
"""Bytes below which a file that planning may look into is copied rather than read in ranges."""
_NAMES, _FOLDER_NAME = 3, re.compile(r"(?!\.+$)[\w.=+ -]{1,200}")
"""How many folders above an input keep their names on this machine, and names that may be kept."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """A folder of this machine that stands for a remote one; it travels to workers as an address.

    Attributes:
        remote: the input.
        run: whose folder on this machine it is in.
        number: of the input.
        pattern: of the names of files that come when they are read.
        ranged: of those of which ranges come, unless they are small.
        work: where the list of its files lies.
        limit: bytes of files that are kept although nobody reads them; None for half of what the
            disk has free with them.
    """

    remote: RemoteFolder
    run: str
    number: int
    pattern: str
    ranged: str
    work: WorkFiles
    limit: int | None = None

    @property
    def path(self) -> Path:
        """The input on this machine, a folder or a file; it is made where there is none.

        Raises:
            InputError: it cannot be made.
        """
        if not (self._state / _READY).exists():
            self._state.mkdir(parents=True, exist_ok=True)
            with (self._state / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not (self._state / _READY).exists():
                    self.make(msgspec.json.decode(self.work.read(self._list), type=dict[str, RemoteObject]))
        self._know_ranged()
        return self.place

    @property
    def place(self) -> Path:
        """Where the input is on this machine once it is made, in folders of its last names: some say what it is of."""
        parents = without_query(self.remote.address).partition("://")[2].split("/")[:-1]
        names = [name for name in parents if _FOLDER_NAME.fullmatch(name)]
        return Path(self._folder, "files", *names[-_NAMES:], last_name(self.remote.address))

    @property
    def root(self) -> Path:
        """The folder that names of files are relative to."""
        return self.place.parent if self._is_file else self.place

    def make(self, listed: Mapping[str, RemoteObject]) -> None:
        """Make the folder, given what is there; the name of a single file is empty.

        Raises:
            InputError: the address cannot be read, a file is another than in the list, or the disk has no room for all.
            OutputError: the disk became full.
        """
        self._state.mkdir(parents=True, exist_ok=True)
        (self._state / _LISTED).write_bytes(msgspec.json.encode(listed))
        if set(listed) == {""}:
            (self._state / _IS_FILE).touch()
            listed = {last_name(self.remote.address): listed[""]}
        sizes = {name: found.size for name, found in listed.items()}
        if any(map(self._stays_there, sizes, sizes.values())) and not self.remote.gives_ranges():
            (self._state / _COPIED).touch()
        ranged = {name: found for name, found in listed.items() if self._is_ranged(name, found.size)}
        (self._state / _RANGED).write_bytes(msgspec.json.encode(ranged))
        now = [name for name, size in sizes.items() if not self._stays_there(name, size)]
        self._check_room(sum(sizes[name] for name in now))
        make_placeholders(self.remote.address, self.root, sizes)
        paths = {self._there(name): self.root / name for name in now}
        copy_files(self.remote, {self._there(name): listed[name] for name in now}, paths, self._state)
        self._know_ranged()
        (self._state / _READY).touch()

    def leave_list(self) -> None:
        """Leave the list of its files where workers find it."""
        self.work.leave(self._list, (self._state / _LISTED).read_bytes(), travels=True)

    def comes_later(self, name: str) -> bool:
        """Whether a file is a placeholder until it is read."""
        if not self.pattern or self._is_copied or last_name(name) in TELLING:
            return False
        return bool(re.search(self.pattern, name))

    def _is_ranged(self, name: str, size: int) -> bool:
        if not self.ranged or self._is_copied or not re.search(self.ranged, name):
            return False
        return size >= _SMALL or self.comes_later(name)

    def _stays_there(self, name: str, size: int) -> bool:
        return self.comes_later(name) or self._is_ranged(name, size)

    @property
    def _is_copied(self) -> bool:
        """Whether all of it was copied, since its server gives no ranges."""
        return is_web(self.remote.address) and (self._state / _COPIED).exists()

    def _know_ranged(self) -> None:
        if not knows_ranged(self.root):
            know_ranged(self.root, self.remote, self._stands_for)

    def _stands_for(self, name: str) -> tuple[str, RemoteObject] | None:
        """What a placeholder stands for; None where the file was copied."""
        found = self.in_ranges.get(name)
        if found is None and self.comes_later(name):
            found = _read_objects(self._state / _LISTED).get(self._there(name))
        return None if found is None else (self._there(name), found)

    @property
    def in_ranges(self) -> dict[str, RemoteObject]:
        """The files of which ranges come, as they were when they were listed."""
        return _read_objects(self._state / _RANGED)

    def check_same(self, names: Sequence[str]) -> None:
        """Check that those of these files of which ranges come are what they were.

        Raises:
            InputError: one is another by now.
        """
        found = self.in_ranges
        for name in names:
            if name in found:
                check_same(self.remote, self._there(name), found[name])

    @contextmanager
    def reading(self, names: Sequence[str]) -> Iterator[None]:
        """Have these files here while the body runs.

        Raises:
            InputError: one cannot be fetched, or is not what it was.
            OutputError: the disk has no room for it.
        """
        listed = _read_objects(self._state / _LISTED)
        files = WholeFiles(self.remote, self.root, self._state, listed, self.limit)
        with files.reading(names):
            yield

    def _there(self, name: str) -> str:
        """What a file is called there; an input that is a file is the address itself."""
        return "" if self._is_file else name

    @property
    def _folder(self) -> Path:
        return scratch_of(self.run) / f"input-{self.number}"

    @property
    def _state(self) -> Path:
        """Folder of locks, one per file that was fetched."""
        return self._folder / "state"

    @property
    def _list(self) -> str:
        return f"input-{self.number}.json"

    @property
    def _is_file(self) -> bool:
        return (self._state / _IS_FILE).exists()

    def _check_room(self, size: int) -> None:
        folder = scratch_of(self.run)
        free = shutil.disk_usage(folder).free
        if size > free:
            raise InputError(
                f"{self.remote.shown} has {size / 1e9:,.1f} GB that have to be copied to {folder.parent} first, which "
                f"has {free / 1e9:,.1f} GB left: set TMPDIR to a larger disk, or give fewer files at a time"
            )


@contextmanager
def files_here(
    mirrors: Mapping[str, Mirror], source: Source, folder: Path, part: Part, *, scans: bool
) -> Iterator[None]:
    """Have the files of a part on this machine while the body runs, or those that a scan opens.

    Raises:
        InputError: one cannot be fetched, is not what it was, or is a Git LFS pointer.
    """
    found = mirrors.get(part.input)
    if found is None or size_of(source, folder, part) is None:
        yield
        return
    names = files_to_scan(source, folder, part) if scans else files_of(source, folder, part)
    whole = [name for name in names if found.comes_later(name) and name not in found.in_ranges]
    with found.reading(whole):
        check_fetched([found.root / name for name in names])
        yield
    found.check_same(names)


def mirror(source: Source, address: str, run: str, number: int, work: WorkFiles) -> Mirror:
    """Make a folder of this machine that looks like the input.

    Args:
        source: that reads it.
        address: of the input.
        run: whose folder on this machine it is made in.
        number: of the input.
        work: where workers will find the list of its files.

    Raises:
        InputError: there is nothing at the address, it cannot be read, or the disk has no room for
            it.
    """
    remote = RemoteFolder(address)
    listed = remote.objects()
    if not listed:
        hint = f"did you mean {close}?" if (close := remote.close_name()) else "give a folder or a file"
        raise InputError(f"{redacted(address)} does not exist, or is empty: {hint}")
    made = Mirror(remote, run, number, source.read_by_part, source.read_in_ranges, work)
    made.make(listed)
    return made


@lru_cache(maxsize=64)
def _read_objects(path: Path) -> dict[str, RemoteObject]:
    return msgspec.json.decode(path.read_bytes(), type=dict[str, RemoteObject])
