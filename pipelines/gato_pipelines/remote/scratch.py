"""Folders of this machine for what a run keeps of addresses: one a run, in TMPDIR, made by whoever needs it first.

Processes that see one TMPDIR share the folder of a run; a worker with a TMPDIR, or a disk, of its own has its own.
Who uses a folder holds a lock of it, which ends with the process: what a killed one left is removed by the next.
"""

import atexit
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from threading import RLock, Timer
from typing import IO

from gato_data.errors import OutputError
from gato_data.remote.store_errors import FULL
from gato_pipelines.remote.ranged import forget_ranged

IDLE_SECONDS = 600
"""How long a worker keeps the folder of a run that asks it for nothing."""
_PREFIX, _HELD = "gato-data-", "held"


@dataclass(slots=True)
class _Held:
    """A folder that this process holds: its lock, and how many calls use it now."""

    folder: Path
    lock: IO[str]
    users: int = 0
    timer: Timer | None = None


_guard = RLock()
_held: dict[str, _Held] = {}


def scratch_of(run: str) -> Path:
    """The folder of a run on this machine.

    Raises:
        OutputError: TMPDIR cannot be written.
    """
    with _guard:
        if run not in _held:
            _held[run] = _hold(Path(gettempdir()) / f"{_PREFIX}{run}")
        return _held[run].folder


def scratch_around(path: Path) -> Path | None:
    """The folder of a run that a path is in; None where it is in none that this process holds."""
    return next((held.folder for held in list(_held.values()) if path.is_relative_to(held.folder)), None)


@contextmanager
def roomy() -> Iterator[None]:
    """Let an error of the body say where, if the disk of these folders has no room left.

    Raises:
        OutputError: it has none.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OutputError(
            f"{gettempdir()} is full ({error.strerror}), where files of addresses are copied to: free space "
            "there or set TMPDIR to a larger disk, then run the same command again; finished shards are kept"
        ) from error


@contextmanager
def new_scratch() -> Iterator[str]:
    """A new run, by its name; its folder on this machine goes at the end."""
    run = secrets.token_hex(8)
    remove_abandoned()
    folder = scratch_of(run)
    _held[run].users += 1
    try:
        yield run
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _held[run].users -= 1
        _let_go(run)


@contextmanager
def using(run: str) -> Iterator[None]:
    """Keep the folder of a run while the body runs, and for some minutes more, but not longer than this process."""
    with _guard:
        if run not in _held:
            remove_abandoned()
        scratch_of(run)
        held = _held[run]
        held.users += 1
        if held.timer is not None:
            held.timer.cancel()
    try:
        yield
    finally:
        with _guard:
            held.users -= 1
            if not held.users:
                held.timer = Timer(IDLE_SECONDS, _let_go, [run])
                held.timer.daemon = True
                held.timer.start()


def remove_abandoned() -> None:
    """Remove the folders that processes of this user left which were killed."""
    for folder in Path(gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.lstat().st_uid == os.getuid() and not folder.is_symlink():
                with (folder / _HELD).open("r+") as lock:
                    _remove_unless_held(folder, lock)


def _remove_unless_held(folder: Path, lock: IO[str]) -> None:
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)


def _hold(folder: Path) -> _Held:
    try:
        while True:
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.lstat().st_uid != os.getuid():
                raise OutputError(f"{folder} is another user's: set TMPDIR to a folder of your own")
            lock = (folder / _HELD).open("a")
            fcntl.flock(lock, fcntl.LOCK_SH)
            with suppress(FileNotFoundError):  # its last holder removed it just now
                if os.fstat(lock.fileno()).st_ino == (folder / _HELD).stat().st_ino:
                    return _Held(folder, lock)
            lock.close()
    except OSError as error:
        raise OutputError(
            f"{folder.parent} cannot be written ({error.strerror or error}): set TMPDIR to a folder with room for the "
            "files of a few parts"
        ) from error


def _let_go(run: str) -> None:
    """Let go of a folder that nothing uses, and remove it unless another process holds it."""
    with _guard:
        if run in _held and not _held[run].users:
            held = _held.pop(run)
            if held.timer is not None:
                held.timer.cancel()
            forget_ranged(held.folder)
            _remove_unless_held(held.folder, held.lock)
            held.lock.close()


@atexit.register
def _let_go_of_all() -> None:
    for run in list(_held):
        _held[run].users = 0
        _let_go(run)
