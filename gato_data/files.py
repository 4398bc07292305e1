"""Files of a folder that is written to: whole or not there at all, and never through a link; names that stay inside."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from uuid import uuid4

from gato_data.errors import OutputError


def user_cache() -> Path:
    """The user's folder for what can be made again: below `XDG_CACHE_HOME` where that is absolute, or ~/.cache."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if os.path.isabs(given) else Path.home() / ".cache") / "gato-data"


def write_durably(path: Path, data: bytes, work: Path | None = None) -> None:
    """Write a whole file under a temporary name, flush it to the disk, then rename it.

    With `work`, a folder of the same file system, the temporary file is there and nobody else's, so that several
    processes may write the same file at once.
    """
    temporary = path.with_name(path.name + ".tmp") if work is None else work / f"{path.name}.{uuid4().hex}.tmp"
    temporary.unlink(missing_ok=True)
    with temporary.open("xb") as file:  # never through a link that lies there
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def make_placeholder(path: Path, size: int) -> None:
    """A file of zeros of that size, without a block on the disk, in one step in place of what is there."""
    fresh = fresh_name(path)
    with fresh.open("wb") as file:
        file.truncate(size)
    fresh.replace(path)


def fresh_name(path: Path) -> Path:
    """A name beside a file that no other thread, process or machine has, to be replaced by."""
    return path.with_name(f".{path.name}.{uuid4().hex[:12]}")


def digest_of(path: Path) -> str:
    """SHA-256 of a file, as `sha256sum` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(folder: Path, deed: str) -> Iterator[None]:
    """Hold a folder against other processes that would do something to it, such as "repaired".

    Raises:
        OutputError: another process holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise OutputError(f"{folder} is being {deed} by another process: wait until it ends") from error
    finally:
        os.close(handle)


def refuse_links(folder: Path) -> None:
    """Refuse a folder that holds a symbolic link, at any depth; the folder itself may be one.

    Raises:
        OutputError: there is one; it is named.
    """
    for parent, folders, files in os.walk(folder):
        for name in sorted(folders + files):
            path = Path(parent, name)
            if path.is_symlink():
                raise OutputError(
                    f"{path} is a link, and nothing is written through links: put the file itself there, or remove it"
                )


def is_inside(name: str) -> bool:
    """Whether a name from an untrusted file stays below the folder or archive that it is looked up in."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name
