"""Reading HDF5 files that may be hostile: nothing outside the file is opened, and memory is bounded."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, InputError, MissingPackageError
from gato_data.image_header import JPEG_MAGIC, read_header
from gato_pipelines.remote.ranged import RangedFile, ranged_file
from gato_pipelines.rlds.features import Kind, Leaf

SUFFIXES = (".hdf5", ".h5")
MAX_VALUE_BYTES = 1 << 32
"""Bytes of one field of one episode."""
MAX_CHUNK_BYTES = 1 << 30
"""Bytes of a chunk, which is always decompressed whole."""
MAX_TEXT_BYTES = 1 << 24
"""Bytes of a text that describes a file or an episode."""
MAX_MEMBERS = 1 << 22
"""Members of a group: an episode each in Minari's files."""
MAX_VISITS = 10_000
"""Members of a group and of all below it that are looked at."""
_MAX_DEPTH = 16
_DAMAGE = (OSError, RuntimeError, ValueError, KeyError, TypeError)
"""What h5py raises for a damaged file."""


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """The root group of a file.

    Raises:
        MissingPackageError: h5py is not installed.
        InputError: it is no HDF5 file.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingPackageError('HDF5 files need h5py: pip install "gato-data[ingest]"') from error
    try:
        ranged = ranged_file(path)
        file = h5py.File(path, "r", locking=False) if ranged is None else h5py.File(_opened(path, ranged))
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path} is no HDF5 file, or damaged ({error}): download it again") from error
    with file:
        yield file


def _opened(path: Path, file: RangedFile) -> Any:
    """HDF5's own file, which is called by its path and reads through `file`."""
    import h5py

    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, file)
    return h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY, fapl=access)


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Whatever h5py raises in here means that the file is damaged at `what`."""
    try:
        yield
    except _DAMAGE as error:
        raise EpisodeError(f"{what} cannot be read ({error})", stage="read") from error


def names(group: Any, what: str) -> list[str]:
    """Names of the members of a group, sorted.

    Raises:
        EpisodeError: it is damaged, or has more than `MAX_MEMBERS`.
    """
    with _reading(what):
        if len(group) > MAX_MEMBERS:
            raise EpisodeError(f"{what} has {len(group)} members, at most {MAX_MEMBERS} are read", stage="read")
        found = list(group)
    if not all(isinstance(name, str) for name in found):
        raise EpisodeError(f"{what} has a member whose name is not UTF-8", stage="read")
    return sorted(found)


def child(group: Any, name: str) -> Any:
    """A group or dataset inside `group`; None where there is none.

    Raises:
        EpisodeError: it is a link to somewhere else, or damaged.
    """
    import h5py

    with _reading(name):
        link = group.get(name, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise EpisodeError(f"{name} is a link to somewhere else: data inside the file is wanted", stage="read")
        return group.get(name)


def below(group: Any, path: str) -> Any:
    """What lies below a group by names with "/" between them; None where nothing does.

    Raises:
        EpisodeError: it is behind a link to somewhere else, or damaged.
    """
    found = group
    for name in path.split("/"):
        found = child(found, name) if hasattr(found, "keys") else None
    return found


def set_of(path: str, sets: Iterable[str]) -> str:
    """The set that a leaf is in, by its name in RLDS."""
    return next(target for target in sets if path == target or path.startswith(target + "/"))


def find(root: Any, path: str, sets: Mapping[str, str]) -> Any:
    """The dataset of a leaf, given the names in the file, one inside the other by "/", of what RLDS calls otherwise.

    Raises:
        EpisodeError: there is none, it is a link to somewhere else, or damaged.
    """
    target = set_of(path, sets)
    found = below(root, sets[target] + path.removeprefix(target))
    if found is None or not hasattr(found, "ndim"):
        raise EpisodeError(f"{path} is missing", stage="read")
    return found


def walk(group: Any, path: str, depth: int = 0, visits: Iterator[int] | None = None) -> Iterator[tuple[str, Any]]:
    """Yield the path and dataset of everything at or below `group`, in the order of names.

    Raises:
        EpisodeError: it is nested too deeply, has more than `MAX_VISITS` members at all levels, or
            is damaged.
    """
    visits = iter(range(MAX_VISITS)) if visits is None else visits
    if next(visits, None) is None:  # groups can be members of each other, many times over
        raise EpisodeError(f"{path} has more than {MAX_VISITS} members around it", stage="read")
    if hasattr(group, "ndim"):
        yield path, group
    if not hasattr(group, "keys"):  # a dataset, or the name of a type
        return
    if depth == _MAX_DEPTH:
        raise EpisodeError(f"{path} is nested more than {_MAX_DEPTH} deep", stage="read")
    for name in names(group, path):
        found = child(group, name)
        if found is not None:
            yield from walk(found, f"{path}/{name}", depth + 1, visits)


def attribute(group: Any, name: str) -> Any:
    """What a group says of itself: a text, a number or a truth value; None where it says nothing, or something else.

    Raises:
        EpisodeError: it is damaged.
    """
    with _reading(f"the attribute {name}"):
        if name not in group.attrs:
            return None
        found = group.attrs.get_id(name)
        if found.shape not in ((), (1,)) or found.get_storage_size() > MAX_TEXT_BYTES:
            return None
        value = group.attrs[name]
    if isinstance(value, np.ndarray):
        value = value[0]
    if isinstance(value, str | bytes):
        try:  # h5py makes surrogates of what is no UTF-8
            return value.decode() if isinstance(value, bytes) else value.encode().decode()
        except UnicodeError as error:
            raise EpisodeError(f"the attribute {name} holds text that is not UTF-8", stage="decode") from error
    return value.item() if isinstance(value, np.generic) else value


def num_rows(path: str, data: Any) -> int:
    """Rows of a dataset.

    Raises:
        EpisodeError: it is damaged, or a single value.
    """
    with _reading(path):
        return len(data)


def is_text(data: Any) -> bool:
    """Whether a dataset holds strings."""
    import h5py

    return h5py.check_string_dtype(data.dtype) is not None


def leaf_of(path: str, data: Any) -> Leaf | None:
    """The leaf that a dataset of timesteps stands for; None where it is of a type that cannot be read.

    Raises:
        EpisodeError: it is damaged.
    """
    import h5py

    with _reading(path):
        if is_text(data):
            return Leaf(path=path, kind=Kind.TEXT, dtype="string")
        first = read_bytes(path, data, 0, 1) if data.ndim and len(data) else []
        if h5py.check_vlen_dtype(data.dtype) == np.uint8 or (first and _is_encoded(data, first[0])):
            if not first:
                return None
            height, width, channels = read_header(first[0])
            return Leaf(path=path, kind=Kind.IMAGE, dtype="uint8", shape=(height, width, channels), image_format="jpeg")
        if data.dtype.kind not in "biuf" or not data.ndim:
            return None
        return Leaf(path=path, kind=Kind.TENSOR, dtype=data.dtype.name, shape=tuple(data.shape[1:]))


def _is_encoded(data: Any, first: bytes) -> bool:
    """Whether rows of bytes are JPEG images, as Minari stores images that take the same number of bytes."""
    return data.dtype == np.uint8 and data.ndim == 2 and first.startswith(JPEG_MAGIC + b"\xff")


def read_numbers(path: str, data: Any, start: int, stop: int) -> NDArray[Any]:
    """Rows [start, stop) of numbers, (stop - start, ...).

    Raises:
        EpisodeError: they cannot be read, or take more than `MAX_VALUE_BYTES`.
    """
    with _reading(path):
        _check(path, data, stop - start)
        values: NDArray[Any] = data[start:stop]
    if len(values) != stop - start:
        raise EpisodeError(f"{path} has {len(values)} rows from {start} on, {stop - start} were wanted", stage="read")
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def read_bytes(path: str, data: Any, start: int, stop: int) -> list[bytes]:
    """Rows [start, stop) of bytes, such as encoded images; empty where the dataset holds something else.

    Raises:
        EpisodeError: as `read_numbers`.
    """
    import h5py

    with _reading(path):
        if h5py.check_vlen_dtype(data.dtype) != np.uint8 and not (data.dtype == np.uint8 and data.ndim == 2):
            return []
    return [np.asarray(row, np.uint8).tobytes() for row in read_numbers(path, data, start, stop)]


def read_texts(path: str, data: Any, start: int, stop: int) -> list[str]:
    """Rows [start, stop) of text.

    Raises:
        EpisodeError: as `read_numbers`, or it is not UTF-8.
    """
    try:
        return [_text(value) for value in read_numbers(path, data, start, stop)]
    except UnicodeDecodeError as error:
        raise EpisodeError(f"{path} holds text that is not UTF-8 ({error.reason})", stage="decode") from error


def _text(value: Any) -> str:
    return value if isinstance(value, str) else bytes(value).decode()


def _check(path: str, data: Any, rows: int) -> None:
    """Check where a dataset's values lie and how much memory they take."""
    if data.is_virtual or data.external:
        raise EpisodeError(f"{path} lies in other files: data inside the file is wanted", stage="read")
    size = data.dtype.itemsize
    row = size * int(np.prod(data.shape[1:], dtype=object))
    chunk = size * int(np.prod(data.chunks, dtype=object)) if data.chunks else 0
    if rows * row > MAX_VALUE_BYTES or chunk > MAX_CHUNK_BYTES:
        raise EpisodeError(
            f"{path} takes {max(rows * row, chunk)} bytes, at most {MAX_VALUE_BYTES} a field and {MAX_CHUNK_BYTES} "
            "a chunk are read",
            stage="read",
        )
