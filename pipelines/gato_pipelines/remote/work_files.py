"""The work folder of an ingest: where its processes leave what others of them read, a folder or an address."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from gato_data.errors import InputError
from gato_data.files import write_durably
from gato_pipelines.remote.output import RemoteOutput
from gato_schemas.dataset import WORK

T = TypeVar("T")
_read: dict[tuple["WorkFiles", str], tuple[str, Any]] = {}
"""What this process made of the files that it read last, with their digests."""
_guard = Lock()


@dataclass(frozen=True)
class WorkFiles:
    """The work folder inside `out`; it travels to workers as a path that they share, or as an address."""

    out: Path | RemoteOutput

    @property
    def folder(self) -> Path:
        """It, or the folder of this machine that stands for it."""
        return (self.out if isinstance(self.out, Path) else self.out.out) / WORK

    def leave(self, name: str, content: bytes, *, travels: bool) -> str:
        """Write a file, and return its digest; where it does not travel, only processes that see this disk read it.

        Raises:
            OSError, OutputError: it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_durably(self.folder / name, content, self.folder)
        if travels:
            self.push(name)
        return hashlib.sha256(content).hexdigest()

    def push(self, name: str) -> None:
        """Copy a file to where the others find it."""
        if isinstance(self.out, RemoteOutput):
            self.out.remote.put(self.folder / name, f"{WORK}/{name}")

    def has(self, name: str) -> bool:
        """Whether a file was left."""
        if isinstance(self.out, RemoteOutput):
            return self.out.remote.size(f"{WORK}/{name}") is not None
        return (self.folder / name).exists()

    def read(self, name: str) -> bytes:
        """The content of a file that was left.

        Raises:
            OSError, InputError: it cannot be read.
        """
        self.fetch(name)
        return (self.folder / name).read_bytes()

    def fetch(self, name: str) -> None:
        """Have a file on this machine.

        Raises:
            InputError: it cannot be read.
        """
        if isinstance(self.out, RemoteOutput) and not (self.folder / name).exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_durably(self.folder / name, self.out.remote.read(f"{WORK}/{name}"), self.folder)

    def forget(self, names: list[str]) -> None:
        """Remove files, here and where the others find them."""
        gone = [name for name in names if (self.folder / name).exists()]
        for name in gone:
            (self.folder / name).unlink()
        if isinstance(self.out, RemoteOutput) and gone:
            self.out.remote.remove([f"{WORK}/{name}" for name in gone])


def read_once(work: WorkFiles, name: str, digest: str, make: Callable[[bytes], T]) -> T:
    """What `make` makes of a file that was left, once in every process.

    Raises:
        InputError: it cannot be read, or is not the one that was left.
    """
    with _guard:
        if _read.get((work, name), ("",))[0] != digest:
            try:
                content = work.read(name)
            except OSError as error:
                raise InputError(
                    f"{work.folder / name} cannot be read ({error.strerror}): is it in a folder that all workers share?"
                ) from error
            if hashlib.sha256(content).hexdigest() != digest:
                raise InputError(f"{work.folder / name} is another ingest's: run one at a time in a folder")
            for key in [key for key in _read if key[1] == name]:
                del _read[key]
            _read[work, name] = digest, make(content)
        made: T = _read[work, name][1]
        return made
