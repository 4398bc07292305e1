"""Opening what a person points `inspect` at: every mistake becomes one sentence before anything is printed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gato_data.errors import FormatError, InputError
from gato_data.shards.file import open_shard
from gato_data.shards.index import check_footers, readable_indexes
from gato_schemas.dataset import MANIFEST, Manifest, read_manifest
from gato_schemas.index import SUFFIX
from gato_schemas.tfrecord import refuse_foreign


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
    if path.suffix == SUFFIX:
        raise InputError(f"{path} is the index of a shard: name the shard itself, {path.with_suffix('')}")
    open_shard(path)


def open_manifest(folder: Path) -> Manifest:
    """The manifest of a folder. Raises as `summarize_dataset`."""
    if folder.is_file():
        with folder.open("rb") as file:
            refuse_foreign(file.read(64), folder)
        raise InputError(f"{folder} is a file, a dataset folder was wanted: try `gato-data inspect shard {folder}`")
    if not folder.is_dir():
        raise InputError(f"there is no dataset folder {folder}")
    return read_manifest(folder)


def check_shards(folder: Path, manifest: Manifest) -> None:
    """Refuse a dataset whose shards are not those that its manifest was written for.

    What is missing, of another size or damaged is left to others: this is about what looks right and is not.

    Raises:
        FormatError: a shard is another one; it is named.
    """
    for _, shard, index in readable_indexes(folder, manifest):
        path = folder / shard.name
        if index is None or not path.is_file():
            continue
        if index.header.digest != shard.digest:
            raise FormatError(
                f"shard {path} and its index are not those that {MANIFEST} was written for: copy the right ones "
                "here again, or look at them with gato-data verify"
            )
        if path.stat().st_size == index.header.shard_size:
            check_footers(path, index)
