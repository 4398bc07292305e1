"""Remote inputs: a folder of this machine that looks like the input, whose large files come when they are read.

Files that planning has to look into are copied at the beginning. The others, which only the worker
of their own part opens, are placeholders of the right size, without a block on the disk; a worker
replaces one by the file for as long as it reads it. Files that nobody reads become placeholders
again when they take too much space.
"""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gato_data.errors import InputError
from gato_data.remote.folder import RemoteFolder, last_name, redacted
from gato_pipelines.containers.recognise import TELLING
from gato_pipelines.files.unchanged import files_of, size_of
from gato_pipelines.source import Source
from gato_schemas.index import Part

CACHE_BYTES = 1 << 34
"""Bytes of files that are kept on this machine although nobody reads them at the moment."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """A folder of this machine that stands for a remote one; it travels to workers that see the same disk.

    Attributes:
        remote: the input.
        root: the folder that names of files are relative to.
        state: folder of locks, one per file that was fetched.
        pattern: of the names of files that come when they are read.
        limit: bytes of files that are kept although nobody reads them.
    """

    remote: RemoteFolder
    root: Path
    state: Path
    pattern: str
    limit: int = CACHE_BYTES

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
        source = "" if self.remote.address.endswith(f"/{name}") and self._is_file else name
        self.remote.get([source], [fresh])
        if (found := fresh.stat().st_size) != size:
            raise InputError(
                f"{name} of {self.remote.shown} changed while it was ingested: it had {size} bytes and has {found} "
                "now; run the same command again when nothing writes to it any more, finished shards are kept"
            )
        fresh.replace(path)
        self._here(name).write_text(name)

    @property
    def _is_file(self) -> bool:
        return (self.state / "is-file").exists()

    def _make_room(self) -> None:
        """Turn the files that were used least recently into placeholders where there are too many."""
        found = []
        for here in self.state.glob("*.here"):
            with suppress(FileNotFoundError):
                name = here.read_text()
                found.append((here.stat().st_mtime_ns, (self.root / name).stat().st_size, name))
        total = sum(size for _, size, _ in found)
        for _, size, name in sorted(found):
            if total <= self.limit:
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
        return self.state / f"{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}.lock"

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


def make_placeholder(path: Path, size: int) -> None:
    """A file of zeros of that size, without a block on the disk, in one step."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("wb") as file:
        file.truncate(size)
    fresh.replace(path)


def make_placeholders(address: str, root: Path, sizes: Mapping[str, int]) -> None:
    """A placeholder below `root` for every file of a remote folder.

    Raises:
        InputError: this machine cannot have all of them: a name is too long, or also the name of a
            folder.
    """
    for name, size in sizes.items():
        path = root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            make_placeholder(path, size)
        except OSError as error:
            raise InputError(
                f"{redacted(address)} holds a file {name[:200]!r} that cannot be a file of this machine "
                f"({error.strerror or type(error).__name__}): rename it there, or give another folder"
            ) from error


def mirror(source: Source, address: str, scratch: Path) -> tuple[Path, Mirror]:
    """Make a folder below `scratch` that looks like the input; returns the input in it, a folder or a file.

    Raises:
        InputError: there is nothing at the address, it cannot be read, or the disk has no room for
            it.
    """
    remote, name = RemoteFolder(address), last_name(address)
    sizes = remote.sizes()
    if not sizes:
        hint = f"did you mean {close}?" if (close := remote.close_name()) else "give a folder or a file"
        raise InputError(f"{redacted(address)} does not exist, or is empty: {hint}")
    is_file, state = set(sizes) == {""}, scratch / "state"
    state.mkdir(parents=True)
    root = scratch / "files" if is_file else scratch / "files" / name
    if is_file:
        (state / "is-file").touch()
        sizes = {name: sizes[""]}
    made = Mirror(remote, root, state, source.read_by_part)
    now = [file for file in sizes if not made.comes_later(file)]
    _check_room(address, sum(sizes[file] for file in now), scratch)
    make_placeholders(address, root, sizes)
    remote.get(["" if is_file else file for file in now], [root / file for file in now])
    return (root / name if is_file else root), made


def _check_room(address: str, size: int, scratch: Path) -> None:
    free = shutil.disk_usage(scratch).free
    if size > free:
        raise InputError(
            f"{redacted(address)} has {size / 1e9:,.1f} GB that have to be copied to {scratch.parent} first, which has "
            f"{free / 1e9:,.1f} GB left: set TMPDIR to a larger disk, or give fewer files at a time"
        )
