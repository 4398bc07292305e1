"""Files of a remote input that come whole, for as long as somebody reads them and there is room for them.

Processes that see one TMPDIR share them. Of files that nobody reads those that were read last become
placeholders again when all take too much space.
"""

import fcntl
import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import msgspec

from gato_data.files import make_placeholder
from gato_data.remote.folder import RemoteFolder, RemoteObject
from gato_pipelines.remote.copies import copy_files
from gato_pipelines.remote.ranged import have_whole

_SIDE_BY_SIDE = 64
"""Files that are fetched, and so locked, at a time."""


@dataclass(frozen=True, slots=True)
class WholeFiles:
    """The files of one input.

    Attributes:
        remote: the input.
        root: the folder of this machine in which each is a placeholder until it is here.
        state: folder of locks and notes.
        listed: what every file was when it was listed; an input that is a file has an empty name.
        limit: bytes that are kept although nobody reads them; None for half of what the disk has free with them.
    """

    remote: RemoteFolder
    root: Path
    state: Path
    listed: Mapping[str, RemoteObject]
    limit: int | None

    @contextmanager
    def reading(self, names: Sequence[str]) -> Iterator[None]:
        """Have these files here while the body runs.

        Raises:
            InputError: one cannot be fetched, or is not what it was.
            OutputError: the disk has no room for it.
        """
        with self._in_use(names):
            for first in range(0, len(names), _SIDE_BY_SIDE):
                self._have(sorted(names)[first : first + _SIDE_BY_SIDE])
            with have_whole([self.root / name for name in names]):
                yield
        self._make_room()

    @contextmanager
    def _in_use(self, names: Sequence[str]) -> Iterator[None]:
        """Tell those who make room what is read here; nobody makes any until it is told."""
        path = self.state / f"{uuid4().hex}.use"
        with ExitStack() as held:
            with self._room(fcntl.LOCK_SH):
                note = held.enter_context(path.open("wb"))
                fcntl.flock(note, fcntl.LOCK_EX)
                held.callback(path.unlink, missing_ok=True)
                note.write(msgspec.json.encode(names))
                note.flush()
            yield

    @contextmanager
    def _room(self, how: int) -> Iterator[None]:
        with (self.state / "room").open("a") as lock:
            fcntl.flock(lock, how)
            yield

    def _have(self, names: Sequence[str]) -> None:
        """Fetch those of some files that are not here, while others who want one of them wait."""
        missing = [name for name in names if not self._here(name).exists()]
        with ExitStack() as held:
            for name in missing:  # sorted, as everywhere: so nobody waits for somebody who waits for him
                fcntl.flock(held.enter_context(self._lock(name).open("a")), fcntl.LOCK_EX)
            self._fetch([name for name in missing if not self._here(name).exists()])
        for name in names:
            self._here(name).touch()

    def _fetch(self, names: Sequence[str]) -> None:
        there = {"" if "" in self.listed else name: self.root / name for name in names}
        copy_files(self.remote, {name: self.listed[name] for name in there}, there, self.state)
        for name in names:
            self._here(name).write_text(name)

    def _make_room(self) -> None:
        """Turn files into placeholders where there are too many: those that were read last.

        Both passes go through the parts in one order, so these are needed last, and what has become tokens never again.
        The very last one stays longest, since the next part may read it, too.
        """
        found = []
        for here in self.state.glob("*.here"):
            with suppress(FileNotFoundError):
                name = here.read_text()
                found.append((here.stat().st_mtime_ns, (self.root / name).stat().st_size, name))
        total = sum(size for _, size, _ in found)
        limit = (shutil.disk_usage(self.state).free + total) // 2 if self.limit is None else self.limit
        if total <= limit:
            return
        *others, last = sorted(found)
        with self._room(fcntl.LOCK_EX):
            used = self._used()
            for _, size, name in [*reversed(others), last]:
                if total > limit and name not in used and self._here(name).exists():
                    self._here(name).unlink()
                    make_placeholder(self.root / name, size)
                    total -= size

    def _used(self) -> set[str]:
        """What anybody reads now; the notes of those that were killed go."""
        used: set[str] = set()
        for path in self.state.glob("*.use"):
            with suppress(FileNotFoundError), path.open("r+b") as note:
                try:
                    fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    used.update(msgspec.json.decode(note.read(), type=list[str]))
                else:
                    path.unlink(missing_ok=True)
        return used

    def _lock(self, name: str) -> Path:
        return self.state / f"{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}.lock"

    def _here(self, name: str) -> Path:
        return self._lock(name).with_suffix(".here")
