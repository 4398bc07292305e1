"""The output folder of an ingest: is it ours, is it free, what was it made with."""

import fcntl
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import OutputError
from gato_data.shard_writer import write_durably
from gato_pipelines.shards import WORK, Job
from gato_schemas.dataset import DEAD_LETTERS, MANIFEST, TEXT_MODEL

TFDS_INFO, TFDS_FEATURES = "dataset_info.json", "features.json"
_FILES = {MANIFEST, DEAD_LETTERS, TEXT_MODEL, TFDS_INFO, TFDS_FEATURES}
_SHARD = re.compile(r"^[a-z0-9_]+-(train|validation)\.tfrecord-\d{5,}-of-\d{5,}(\.index)?(\.tmp)?$")
_JOB = "job.json"


def dataset_name(out: Path) -> str:
    """The folder's name as TFDS allows it: lower case, digits and underscores, beginning with a letter."""
    name = "".join(c if c.isascii() and c.isalnum() else "_" for c in out.resolve().name.lower()).strip("_")
    return name if name[:1].isalpha() else f"dataset_{name}".rstrip("_")


@contextmanager
def work_folder(out: Path, *, overwrite: bool) -> Iterator[None]:
    """Hold `out` for one ingest: make it, lock it, and leave nothing behind where nothing was claimed.

    Raises:
        OutputError: the folder holds something that is not ours, is in use, or cannot be written.
    """
    existed = out.exists()
    _check_ours(out)
    work = out / WORK
    try:
        if overwrite and existed:
            _clear(out)
        work.mkdir(parents=True, exist_ok=True)
        lock = (work / "lock").open("w")
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror}): choose another --out") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"another ingest is writing to {out}: wait for it, or choose another --out") from error
        try:
            yield
        finally:
            if not (work / _JOB).exists():
                shutil.rmtree(work, ignore_errors=True)
                if not existed:
                    with suppress(OSError):
                        out.rmdir()


def _check_ours(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"{out} is a file: --out wants a folder")
    names = {path.name for path in out.iterdir()}
    if names and not names & {MANIFEST, WORK}:
        raise OutputError(
            f"{out} is not empty and holds no dataset of gato-data (but {sorted(names)[0]!r}): choose another --out"
        )


def _clear(out: Path) -> None:
    """Remove what an ingest writes and nothing else, the manifest first: a half-cleared folder is not a dataset."""
    (out / MANIFEST).unlink(missing_ok=True)
    for path in out.iterdir():
        if path.name in _FILES or _SHARD.match(path.name):
            path.unlink()
    shutil.rmtree(out / WORK, ignore_errors=True)


def claim(job: Job, decides: Mapping[str, Any]) -> None:
    """Note what the shards in the folder are made with, or check that it is the same.

    Raises:
        OutputError: the folder holds an unfinished dataset made with other settings; says which.
    """
    path = job.out / WORK / _JOB
    if path.exists():
        stored = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        if stored != decides:
            raise OutputError(
                f"{job.out} holds an unfinished dataset made with other settings ({_difference(stored, decides)}): "
                "use the same settings to continue, or --overwrite to start again"
            )
    write_durably(path, msgspec.json.encode(dict(decides)))


def _difference(stored: Any, wanted: Any, where: str = "") -> str:
    """The first difference of two JSON values."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for key in sorted(stored.keys() | wanted.keys()):
            if stored.get(key) != wanted.get(key):
                return _difference(stored.get(key), wanted.get(key), f"{where}.{key}" if where else key)
    return f"{where} was {stored!r}, now {wanted!r}"


def release(out: Path) -> None:
    """Remove the work folder of a finished ingest."""
    shutil.rmtree(out / WORK, ignore_errors=True)
