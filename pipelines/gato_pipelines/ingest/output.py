"""The output folder of an ingest: is it ours, is it free, what was it made with."""

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from gato_data.card.files import is_somebodys
from gato_data.errors import GatoError, OutputError
from gato_data.files import refuse_links, write_durably
from gato_data.growing.parents import APPEND, PARENTS
from gato_pipelines.ingest.disk_errors import cannot_write
from gato_pipelines.ingest.job import Job
from gato_pipelines.remote.output import RemoteOutput
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
from gato_schemas.errors import FormatError
from gato_schemas.index import SUFFIX, read_index

_FILES = {MANIFEST, MANIFEST_COPY, DEAD_LETTERS, TEXT_MODEL, TFDS_INFO, TFDS_FEATURES, CARD, PICTURE, CROISSANT}
_SHARD = re.compile(r"^[a-z0-9_]+-(train|validation)\.tfrecord-\d{5,}-of-\d{5,}(\.index)?(\.tmp)?$")
_JOB = "job.json"
LOCK = "lock"
"""File in the work folder that whoever writes the dataset holds."""
RETRY = "retry"
"""Folder inside the work folder for the shards of dead letters that are tried again; it outlives an
interruption."""
_MAX_SHOWN = 100
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}
"""What a file system says that knows no locks."""
_MANIFEST_KEYS = {"version", "fingerprint", "vocabulary", "splits"}


@contextmanager
def work_folder(out: Path, *, overwrite: bool, remote: RemoteOutput | None = None) -> Iterator[None]:
    """Hold `out` for one ingest: make it, lock it, and leave nothing behind where nothing was claimed.

    `remote` is where the folder belongs, if that is an address.

    Raises:
        OutputError: the folder holds something that is not ours, is in use, or cannot be written.
    """
    existed = out.exists()
    check_ours(out)
    work = out / WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
        with lock(work / LOCK, busy(out)):
            _clear(out, everything=overwrite)
            try:
                yield
            finally:
                release_unclaimed(out, existed=existed, remote=remote)
    except OSError as error:
        raise cannot_write(error, out) from error


def check_ours(out: Path) -> None:
    """Check that an ingest may write to `out`, without writing.

    Raises:
        OutputError: it is a file, or holds something that is not ours, or a link.
    """
    try:
        if not out.exists():
            return
        if not out.is_dir():
            raise OutputError(f"{out} is a file: --out wants a folder")
        names = sorted(path.name for path in out.iterdir())
    except OSError as error:
        raise cannot_write(error, out) from error
    if MANIFEST in names and not _is_manifest(out / MANIFEST):
        raise OutputError(f"{out} has a {MANIFEST} that gato-data did not write: choose another --out")
    if names and MANIFEST not in names and WORK not in names:
        raise OutputError(
            f"{out} is not empty and holds no dataset of gato-data (but {names[0]!r}): choose another --out"
        )
    refuse_links(out)


def _is_manifest(path: Path) -> bool:
    """Whether a file is a manifest of ours, of whatever version."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any]).keys() >= _MANIFEST_KEYS
    except (msgspec.MsgspecError, RecursionError):
        return False


def release_unclaimed(out: Path, *, existed: bool, remote: RemoteOutput | None = None) -> None:
    """Remove the work folder where nothing is unfinished, here and there, and the folder where it is new and empty."""
    work = out / WORK
    if not (work / _JOB).exists() and not (work / APPEND).exists():
        release(out)
        if remote is not None:
            with suppress(GatoError):
                remote.tidy_unclaimed()
        if not existed:
            with suppress(OSError):
                out.rmdir()


def busy(out: Path) -> str:
    """What is said where another ingest holds the lock."""
    return f"another ingest is writing to {out}"


@contextmanager
def lock(path: Path, holder: str, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock: released when this process ends, however it ends; a file system without locks holds nobody off.

    Raises:
        OutputError: another process holds it; begins with `holder`.
    """
    with path.open("a+") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            # else its holder just ended and removed it
            held = os.fstat(file.fileno()).st_ino == path.stat().st_ino
        except (BlockingIOError, FileNotFoundError):
            held = False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            held = True
        if not held:
            raise OutputError(f"{holder}: wait until it ends, or choose another --out")
        yield


def _clear(out: Path, *, everything: bool) -> None:
    """Remove what a killed ingest left half written; or everything an ingest writes, and nothing else.

    The manifest goes first: a half-cleared folder is not a dataset.
    """
    if everything:
        _remove_dataset(out)
    for path in (out / WORK).iterdir():
        if path.is_dir() and path.name in (RETRY, APPEND) and not everything:
            shutil.rmtree(path / WORK, ignore_errors=True)
        elif path.is_dir():
            shutil.rmtree(path)
        elif (everything and path.name != LOCK) or path.suffix == ".tmp":
            path.unlink()


def _remove_dataset(out: Path) -> None:
    (out / MANIFEST).unlink(missing_ok=True)
    for path in out.iterdir():
        if (path.name in _FILES and not (path.name == CARD and is_somebodys(path))) or is_shard(path.name):
            path.unlink()
    shutil.rmtree(out / PARENTS, ignore_errors=True)


def is_shard(name: str) -> bool:
    """Whether a file of this name is a shard or an index that an ingest writes."""
    return _SHARD.match(name) is not None


def kept_nothing(out: Path) -> bool:
    """Whether an ingest ended without one episode: all that it left are dead letters, which are no dataset."""
    indexes = sorted(out.glob(f"*{SUFFIX}"))
    if not indexes or (out / MANIFEST).exists():
        return False
    try:
        return not any(read_index(path).header.totals.episodes for path in indexes)
    except (OSError, FormatError):
        return False


def make_way(job: Job) -> str:
    """Clear a folder in which a try with other settings finished nothing; returns in what it differed, or nothing."""
    stored = _stored(job.out)
    if stored is None or stored == _claimed(job) or any(job.out.glob(f"*{SUFFIX}")):
        return ""
    _remove_dataset(job.out)
    for path in (job.out / WORK / _JOB, *(job.out / WORK).glob("duplicates-*")):
        path.unlink()
    return difference(stored, _claimed(job))


def claim(job: Job, again: str = "--overwrite to start again") -> None:
    """Note what the shards in the folder are made with, and their names, or check that it is the same.

    Raises:
        OutputError: the folder holds an unfinished dataset made with other settings; says which, and that `again`
            begins anew.
    """
    stored, wanted = _stored(job.out), _claimed(job)
    if stored is not None and stored != wanted:
        raise OutputError(
            f"{job.out} holds an unfinished dataset made with other settings ({difference(stored, wanted)}): use the "
            f"same settings to continue, or {again}"
        )
    write_durably(job.out / WORK / _JOB, msgspec.json.encode(wanted), job.out / WORK)


def unclaim(out: Path) -> None:
    """Take back that something is unfinished: whoever leaves the work folder last removes it."""
    (out / WORK / _JOB).unlink(missing_ok=True)


def _claimed(job: Job) -> dict[str, Any]:
    return {**job.recipe.values, "name": job.name}


def _stored(out: Path) -> dict[str, Any] | None:
    """What an unfinished dataset is made with; None where there is none."""
    path = out / WORK / _JOB
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise OutputError(f"{path} is damaged ({error}): use --overwrite to start again") from error


def difference(stored: Any, wanted: Any, where: str = "") -> str:
    """The first difference of two JSON values, as "settings.image_size was [64, 80], now [32, 32]".

    The source comes first, and what follows from the input last.
    """
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for key in sorted(stored.keys() | wanted.keys(), key=_telling):
            if stored.get(key) != wanted.get(key):
                return difference(stored.get(key), wanted.get(key), f"{where}.{key}" if where else key)
    return f"{where} was {_shown(stored)}, now {_shown(wanted)}"


def _telling(key: str) -> tuple[int, str]:
    return {"source": 0, "name": 1, "settings": 2, "agents": 4}.get(key, 3), key


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."


def release(out: Path) -> None:
    """Remove the work folder of a finished ingest."""
    shutil.rmtree(out / WORK, ignore_errors=True)
