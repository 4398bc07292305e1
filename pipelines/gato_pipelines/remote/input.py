"""Remote inputs: a folder of this machine that looks like the input, whose large files come when they are read.

Files that planning has to look into are copied at the beginning. The others, which only the worker
of their own part opens, are placeholders of the right size, without a block on the disk; a worker
replaces one by the file for as long as it reads it. Files that nobody reads become placeholders
again when they take too much space.

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
from pathlib import Path

import msgspec

from gato_data.errors import InputError
from gato_data.remote.folder import RemoteFolder, last_name, redacted
from gato_pipelines.containers.recognise import TELLING
from gato_pipelines.files.unchanged import files_of, size_of
from gato_pipelines.remote.placeholders import make_placeholder, make_placeholders
from gato_pipelines.remote.scratch import scratch_of
from gato_pipelines.remote.work_files import WorkFiles
from gato_pipelines.source import Source
from gato_schemas.index import Part

_READY, _IS_FILE, _SIZES = "ready", "is-file", "sizes.json"


@dataclass(frozen=True, slots=True)
class Mirror:
    """A folder of this machine that stands for a remote one; it travels to workers as an address.

    Attributes:
        remote: the input.
        run: whose folder on this machine it is in.
        number: of the input.
        pattern: of the names of files that come when they are read.
        work: where the list of its files lies.
        limit: bytes of files that are kept although nobody reads them; None for half of what the
            disk has free with them.
    """

    remote: RemoteFolder
    run: str
    number: int
    pattern: str
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
                    self.make(msgspec.json.decode(self.work.read(self._list), type=dict[str, int]))
        return self.place

    @property
    def place(self) -> Path:
        """Where the input is on this machine once it is made."""
        return self._folder / "files" / last_name(self.remote.address)

    @property
    def root(self) -> Path:
        """The folder that names of files are relative to."""
        return self.place.parent if self._is_file else self.place

    def make(self, sizes: Mapping[str, int]) -> None:
        """Make the folder, given the bytes of every file; the name of a single file is empty.

        Raises:
            InputError: the address cannot be read, or the disk has no room for it.
        """
        self._state.mkdir(parents=True, exist_ok=True)
        (self._state / _SIZES).write_bytes(msgspec.json.encode(sizes))
        if set(sizes) == {""}:
            (self._state / _IS_FILE).touch()
            sizes = {last_name(self.remote.address): sizes[""]}
        now = [file for file in sizes if not self.comes_later(file)]
        self._check_room(sum(sizes[file] for file in now))
        make_placeholders(self.remote.address, self.root, sizes)
        self.remote.get([self._there(file) for file in now], [self.root / file for file in now])
        (self._state / _READY).touch()

    def leave_list(self) -> None:
        """Leave the list of its files where workers find it."""
        self.work.leave(self._list, (self._state / _SIZES).read_bytes(), travels=True)

    def comes_later(self, name: str) -> bool:
        """Whether a file is a placeholder until it is read."""
        return bool(self.pattern) and bool(re.search(self.pattern, name)) and last_name(name) not in TELLING

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
        """Turn the files that were used least recently into placeholders where there are too many."""
        found = []
        for here in self._state.glob("*.here"):
            with suppress(FileNotFoundError):
                name = here.read_text()
                found.append((here.stat().st_mtime_ns, (self.root / name).stat().st_size, name))
        total = sum(size for _, size, _ in found)
        limit = (shutil.disk_usage(self._state).free + total) // 2 if self.limit is None else self.limit
        for _, size, name in sorted(found):
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
def files_here(mirrors: Mapping[str, Mirror], source: Source, folder: Path, part: Part) -> Iterator[None]:
    """Have the files of a part on this machine while the body runs.

    Raises:
        InputError: one cannot be fetched, or is not what it was.
    """
    found = mirrors.get(part.input)
    if found is None or size_of(source, folder, part) is None:
        yield
        return
    with found.reading([name for name in files_of(source, folder, part) if found.comes_later(name)]):
        yield


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
    sizes = remote.sizes()
    if not sizes:
        hint = f"did you mean {close}?" if (close := remote.close_name()) else "give a folder or a file"
        raise InputError(f"{redacted(address)} does not exist, or is empty: {hint}")
    made = Mirror(remote, run, number, source.read_by_part, work)
    made.make(sizes)
    return made
