"""Opening what a person points `inspect` at: every mistake becomes one sentence before anything is printed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gato_data.errors import FormatError, InputError
from gato_schemas import index
from gato_schemas.dataset import MANIFEST, Manifest, read_manifest
from gato_schemas.tfrecord import refuse_foreign

MAX_DIMENSIONS = 32


@contextmanager
def reading() -> Iterator[None]:
    """Turn a failure of the file system into an error that names the file.

    Raises:
        InputError: a file cannot be read.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read {error.filename or 'the file'}: {error.strerror or error}") from error


def check_shard(path: Path) -> None:
    """Refuse what cannot be a shard before anything is read.

    Raises:
        InputError: there is nothing at `path`, or a folder, or an index.
        FormatError: the file begins like a Git-LFS pointer or a gzip file.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder, a shard file was wanted: try `gato-data inspect dataset {path}`")
    if not path.is_file():
        raise InputError(f"there is no shard {path}")
    if path.suffix == index.SUFFIX:
        raise InputError(f"{path} is the index of a shard: name the shard itself, {path.with_suffix('')}")
    with path.open("rb") as file:
        refuse_foreign(file.read(64), path)


def index_of(path: Path) -> index.ShardIndex | None:
    """The index beside a shard, None where there is none.

    Raises:
        FormatError: the index is damaged, of another version, or does not agree with itself.
    """
    beside = path.with_name(path.name + index.SUFFIX)
    if not beside.is_file():
        return None
    found = index.read_index(beside)
    for column, table in (("task", found.header.tasks), ("agent", found.header.agents)):
        if len(found) and int(found.arrays[column].max()) >= len(table):
            raise FormatError(
                f"{beside.name}: a record has {column} number {found.arrays[column].max()} of {len(table)}"
            )
    size = np.uint64(found.header.shard_size)
    if ((found.offset > size) | (found.length > size - np.minimum(found.offset, size))).any():
        raise FormatError(f"{beside.name}: a record lies outside the {size} bytes of its shard")
    return found


def check_size(path: Path, found: index.ShardIndex) -> None:
    """Refuse a shard that has not the size that its index says.

    Raises:
        FormatError: it is truncated, or longer than it was written.
    """
    actual = path.stat().st_size
    if actual != found.header.shard_size:
        what = "is truncated" if actual < found.header.shard_size else "is longer than it was written"
        raise FormatError(f"{path.name} {what}: it has {actual} bytes, its index says {found.header.shard_size}")


def open_manifest(folder: Path) -> Manifest:
    """The manifest of a folder. Raises as `summarize_dataset`."""
    if folder.is_file():
        with folder.open("rb") as file:
            refuse_foreign(file.read(64), folder)
        raise InputError(f"{folder} is a file, a dataset folder was wanted: try `gato-data inspect shard {folder}`")
    if not folder.is_dir():
        raise InputError(f"there is no dataset folder {folder}")
    manifest = read_manifest(folder)
    _check_fields(manifest, str(folder / MANIFEST))
    return manifest


def _check_fields(manifest: Manifest, name: str) -> None:
    for task in manifest.tasks.values():
        for field in [*task.observations, *task.actions]:
            if len(field.shape) > MAX_DIMENSIONS or min(field.shape, default=0) < 0:
                raise FormatError(f"{name}: field {field.name!r} has the shape {field.shape[:MAX_DIMENSIONS]}")
    for row in manifest.statistics:
        lengths = {len(values) for values in (row.low, row.high, row.mean, row.m2)}
        counted = {0} if row.count == 0 else {len(row.saturated)}
        if lengths != counted or not row.saturated or not 0 <= row.count < 2**63:
            raise FormatError(f"{name}: the statistics of field {row.field!r} have lists of different lengths")
