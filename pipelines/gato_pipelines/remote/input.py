"""Remote inputs: a folder of this machine that looks like the input, whose large files come when they are read.

Files that planning has to look into are copied at the beginning. The others are placeholders of the
right size, without a block on the disk. Those that only the worker of their own part opens come whole:
it replaces one by the file for as long as it reads it, and of files that nobody reads those that were
read last become placeholders again when all take too much space. Those of which many workers read
something stay placeholders, and are opened with `remote.ranged`.

The one who starts the ingest lists the address, and leaves the list in the work folder. A worker that
does not see his folder makes one of its own after that list.
"""

import fcntl
import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec

from gato_data.errors import InputError
from gato_data.files import make_placeholder
from gato_data.remote.address import last_name, redacted
from gato_data.remote.folder import RemoteFolder, RemoteObject
from gato_pipelines.containers.recognise import TELLING
from gato_pipelines.files.git_lfs import check_fetched
from gato_pipelines.files.unchanged import files_of, files_to_scan, size_of
from gato_pipelines.remote.placeholders import make_placeholders
from gato_pipelines.remote.ranged import check_same, know_ranged, knows_ranged
from gato_pipelines.remote.scratch import scratch_of
from gato_pipelines.remote.work_files import WorkFiles
from gato_pipelines.source import Source
from gato_schemas.index import Part

_READY, _IS_FILE, _LISTED, _RANGED = "ready", "is-file", "listed.json", "ranged.json"
_SMALL = 1 << 20
"""Bytes below which a file is copied rather than read in ranges."""
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
        parents = self.remote.address.partition("://")[2].split("/")[:-1]
        names = [name for name in parents if _FOLDER_NAME.fullmatch(name)]
        return Path(self._folder, "files", *names[-_NAMES:], last_name(self.remote.address))

    @property
    def root(self) -> Path:
        """The folder that names of files are relative to."""
        return self.place.parent if self._is_file else self.place

    def make(self, listed: Mapping[str, RemoteObject]) -> None:
        """Make the folder, given what is there; the name of a single file is empty.

        Raises:
            InputError: the address cannot be read, or the disk has no room for it.
        """
        self._state.mkdir(parents=True, exist_ok=True)
        (self._state / _LISTED).write_bytes(msgspec.json.encode(listed))
        if set(listed) == {""}:
            (self._state / _IS_FILE).touch()
            listed = {last_name(self.remote.address): listed[""]}
        sizes = {name: found.size for name, found in listed.items()}
        ranged = {name: found for name, found in listed.items() if self._is_ranged(name, found.size)}
        ranged = ranged if ranged and self.remote.gives_ranges() else {}
        (self._state / _RANGED).write_bytes(msgspec.json.encode(ranged))
        now = [file for file in sizes if file not in ranged and not self.comes_later(file)]
        self._check_room(sum(sizes[file] for file in now))
        make_placeholders(self.remote.address, self.root, sizes)
        self.remote.get([self._there(file) for file in now], [self.root / file for file in now])
        self._know_ranged()
        (self._state / _READY).touch()

    def leave_list(self) -> None:
        """Leave the list of its files where workers find it."""
        self.work.leave(self._list, (self._state / _LISTED).read_bytes(), travels=True)

    def comes_later(self, name: str) -> bool:
        """Whether a file is a placeholder until it is read."""
        return bool(self.pattern) and bool(re.search(self.pattern, name)) and last_name(name) not in TELLING

    def _is_ranged(self, name: str, size: int) -> bool:
        return bool(self.ranged) and size >= _SMALL and bool(re.search(self.ranged, name))

    def _know_ranged(self) -> None:
        root = self.root
        if knows_ranged(root):  # asked for every part, which may be as many as there are files
            return
        found = self.in_ranges
        know_ranged(root, self.remote, {name: (self._there(name), known) for name, known in found.items()})

    @property
    def in_ranges(self) -> dict[str, RemoteObject]:
        """The files of which ranges come, as they were when they were listed."""
        return _read_ranged(self._state / _RANGED)

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
        """
        with ExitStack() as held:
            for name in names:
                held.enter_context(self._held(name))
            yield
        self._make_room()

    @contextmanager
    def _held(self, name: str) -> Iterator[None]:
        """One file, held by a lock that others who read it share."""
        lock, here = self._lock(name), self._here(name)
        with lock.open("a") as held:
            fcntl.flock(held, fcntl.LOCK_SH)
            while not here.exists():
                fcntl.flock(held, fcntl.LOCK_EX)
                if not here.exists():
                    self._fetch(name)
                # another process may make room in between: look again
                fcntl.flock(held, fcntl.LOCK_SH)
            here.touch()
            yield

    def _fetch(self, name: str) -> None:
        path = self.root / name
        size, fresh = path.stat().st_size, self._lock(name).with_suffix(".part")
        self.remote.get([self._there(name)], [fresh])
        if (found := fresh.stat().st_size) != size:
            raise InputError(
                f"{name} of {self.remote.shown} changed while it was ingested: it had {size} bytes and has {found} "
                "now; run the same command again when nothing writes to it any more, finished shards are kept"
            )
        fresh.replace(path)
        self._here(name).write_text(name)

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

    def _make_room(self) -> None:
        """Turn files into placeholders where there are too many: those that were read last.

        Both passes go through the parts in one order, so these are needed last, and what has become tokens never again.
        The very last one stays longest, since the next part may read it, too.
        """
        found = []
        for here in self._state.glob("*.here"):
            with suppress(FileNotFoundError):
                name = here.read_text()
                found.append((here.stat().st_mtime_ns, (self.root / name).stat().st_size, name))
        total = sum(size for _, size, _ in found)
        limit = (shutil.disk_usage(self._state).free + total) // 2 if self.limit is None else self.limit
        *others, last = sorted(found) or [(0, 0, "")]
        for _, size, name in [*reversed(others), last]:
            if total <= limit:
                return
            with self._lock(name).open("a") as held:
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                self._here(name).unlink(missing_ok=True)
                make_placeholder(self.root / name, size)
                total -= size

    def _lock(self, name: str) -> Path:
        return self._state / f"{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}.lock"

    def _here(self, name: str) -> Path:
        return self._lock(name).with_suffix(".here")


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
        check_fetched([found.root / name for name in whole])
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
def _read_ranged(path: Path) -> dict[str, RemoteObject]:
    return msgspec.json.decode(path.read_bytes(), type=dict[str, RemoteObject])
