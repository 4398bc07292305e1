"""Folders of a cache that one process has for a while; those that a killed process left are removed by the next one."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from gato_data.errors import InputError

_PLACE, _LOCK = "lent", "lock"


@contextmanager
def lent_folder(cache: Path) -> Iterator[Path]:
    """A new folder in a cache, which goes with all that is in it when the body ends.

    Raises:
        InputError: the cache cannot be written.
    """
    place = cache / _PLACE
    try:
        place.mkdir(parents=True, exist_ok=True)
        remove_left_behind(cache)
        with _alone(place):
            folder = Path(mkdtemp(dir=place))
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        raise cannot_write(cache, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def cannot_write(cache: Path, error: OSError) -> InputError:
    """What to tell a user whose cache takes nothing."""
    return InputError(f"the cache {cache} cannot be written ({error.strerror}): make room, or give another --cache")


def remove_left_behind(cache: Path) -> None:
    """Remove the folders of processes that are gone; raises OSError."""
    place = cache / _PLACE
    if not place.is_dir():
        return
    with _alone(place):
        for folder in place.iterdir():
            if folder.is_dir() and not _is_lent(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_lent(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Nobody else makes or removes a folder meanwhile."""
    lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
