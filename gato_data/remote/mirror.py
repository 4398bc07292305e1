"""Datasets at addresses as folders of this machine: manifest and indexes are fetched once, shards are read by ranges.

A mirror lies in the cache under the address and the content id, so what changed there is fetched anew. Its shards are
files of the right size without a block on the disk; `shards/file.py` reads their records through `record_cache.py`.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gato_data.errors import FormatError, InputError, SettingError
from gato_data.files import fresh_name, make_placeholder, user_cache
from gato_data.remote.address import as_place, is_remote, last_name, redacted
from gato_data.remote.fetch import fetch
from gato_data.remote.folder import RemoteFolder, RemoteObject
from gato_data.remote.lent_folder import cannot_write, remove_left_behind
from gato_schemas.dataset import BESIDE_SHARDS, MANIFEST, Manifest, decode_manifest
from gato_schemas.index import decode_index, index_path

SHARD = ".tfrecord-"
"""In the names of shards and of their indexes."""
SIDE_BY_SIDE = 16
"""Files that are fetched at a time when a dataset is opened."""


@dataclass(frozen=True, slots=True)
class DatasetMirror:
    """A folder of this machine that stands for one at an address.

    Attributes:
        remote: the folder there.
        folder: the one here.
        cache: the folder of the cache that it lies in.
        objects: what was there when it was opened, by name.
    """

    remote: RemoteFolder
    folder: Path
    cache: Path
    objects: Mapping[str, RemoteObject]

    def fetch(self, name: str, start: int, stop: int, problem: Callable[[bytes], str]) -> bytes:
        """Bytes [start, stop) of a file there; raises as `fetch.fetch`."""
        return fetch(self.remote, name, self.objects.get(name), start, stop, problem)


_OPENED: dict[Path, DatasetMirror] = {}
"""By folder, what this process opened: an address may hold credentials, so it is never written down."""


def mirror_of(folder: Path) -> DatasetMirror | None:
    """What a folder stands for; None for a folder that is no mirror."""
    return _OPENED.get(folder)


@contextmanager
def opened(mirror: DatasetMirror) -> Iterator[None]:
    """Let a folder stand for what it is the mirror of while the body runs."""
    _OPENED[mirror.folder] = mirror
    try:
        yield
    finally:
        del _OPENED[mirror.folder]


def at_hand(place: Path | str, cache: Path | None = None) -> Path:
    """A path of this machine for a dataset's folder, a shard of one or a mixture file, which may be at an address.

    Args:
        place: a path, which is given back, or an address.
        cache: the folder of mirrors; None is the user's own.

    Raises:
        InputError: there is nothing at the address, it cannot be read, or what it says changed while it was fetched.
        FormatError: it is no complete dataset, or one of its indexes is damaged.
        MissingPackageError: a package that reads it is not installed.
    """
    place = as_place(place) if isinstance(place, str) else place
    if isinstance(place, Path):
        return place
    parent, _, name = place.rpartition("/")
    cache = (cache or user_cache()).absolute()
    try:
        remove_left_behind(cache)
        if SHARD in name:
            return _open_dataset(RemoteFolder(parent), cache) / name
        if name.endswith(".json"):
            return _fetch_mixture(RemoteFolder(parent), name, cache)
        return _open_dataset(RemoteFolder(place), cache)
    except OSError as error:
        raise cannot_write(cache, error) from error


def dataset_folder(mixture: Path, path: str, cache: Path | None = None) -> Path:
    """The folder of a dataset that a mixture file names; raises as `at_hand`."""
    mirror = mirror_of(mixture.parent)
    if is_remote(path):
        return at_hand(path, cache)
    if mirror is None:
        return mixture.parent / path
    parts = mirror.remote.address.split("/")
    ups = path.split("/")
    while ups and ups[0] in ("..", "."):
        parts = parts[:-1] if ups.pop(0) == ".." else parts
    return at_hand("/".join([*parts, *ups]), cache or mirror.cache)


def written_path(folder: Path, relative_to: Path) -> str:
    """How a mixture file in a folder names a dataset: relative to itself, or by its address.

    Raises:
        SettingError: the address holds credentials, which are not written down.
    """
    mirror = mirror_of(folder)
    if mirror is None:
        return Path(os.path.relpath(folder.resolve(), relative_to.resolve())).as_posix()
    if mirror.remote.shown != mirror.remote.address:
        raise SettingError(
            f"{mirror.remote.shown} holds credentials, which no file may name: give them to fsspec, by the environment "
            "or its configuration, and the address without them"
        )
    return mirror.remote.address


def objects_of(remote: RemoteFolder) -> dict[str, RemoteObject]:
    """Every file of a folder, by its name.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    objects = remote.objects()
    if [*objects] == [""]:
        raise InputError(f"{remote.shown} is a file, the folder of a dataset was wanted: give the one that it is in")
    if not objects:
        close = remote.close_name()
        hint = f"did you mean {redacted(close)}?" if close else "give the folder of a dataset"
        raise InputError(f"{remote.shown} does not exist, or is empty: {hint}")
    return objects


def _open_dataset(remote: RemoteFolder, cache: Path) -> Path:
    objects = objects_of(remote)
    if MANIFEST not in objects:
        raise FormatError(
            f"{remote.shown} has no {MANIFEST}: it is not a dataset of gato-data, or its ingest did not finish"
        )
    data = remote.read(MANIFEST)
    manifest = decode_manifest(data, f"{remote.shown}/{MANIFEST}")
    folder = cache / "datasets" / f"{manifest.name}-{_key(remote.address, data)}"
    folder.mkdir(parents=True, exist_ok=True)
    _OPENED[folder] = mirror = DatasetMirror(remote, folder, cache, objects)
    _fill(mirror, manifest, data)
    return folder


def _fill(mirror: DatasetMirror, manifest: Manifest, data: bytes) -> None:
    """Fetch what is small, side by side, and make a file without content of everything else."""
    sizes = {shard.name: shard.size for split in manifest.splits.values() for shard in split.shards}
    checks: dict[str, Callable[[bytes], str]] = dict.fromkeys(BESIDE_SHARDS, lambda content: "")
    checks |= {index_path(Path(name)).name: _index_problem for name in sizes}
    wanted = []
    _write(mirror.folder / MANIFEST, data)
    for name, found in mirror.objects.items():
        path = mirror.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in sizes and found.size != sizes[name]:
            raise FormatError(
                f"{mirror.remote.shown}/{name} has {found.size} bytes, its manifest says {sizes[name]}: was it "
                "truncated, or is it still being written?"
            )
        if name == MANIFEST or (path.is_file() and path.stat().st_size == found.size):
            continue
        if name in checks:
            wanted.append(name)
        else:
            make_placeholder(path, found.size)

    def bring(name: str) -> None:
        _write(mirror.folder / name, mirror.fetch(name, 0, mirror.objects[name].size, checks[name]))

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for _ in pool.map(bring, wanted):
            pass


def _index_problem(data: bytes) -> str:
    try:
        decode_index(data, "the index")
    except FormatError as error:
        return str(error)
    return ""


def _fetch_mixture(remote: RemoteFolder, name: str, cache: Path) -> Path:
    data = remote.read(name)
    folder = cache / "mixtures" / _key(remote.address, data)
    folder.mkdir(parents=True, exist_ok=True)
    _OPENED[folder] = DatasetMirror(remote, folder, cache, {})
    _write(folder / name, data)
    return folder / name


def _key(address: str, content: bytes) -> str:
    return hashlib.blake2b(redacted(address).encode() + b"\n" + content, digest_size=12).hexdigest()


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: others may read the same cache."""
    fresh = fresh_name(path)
    fresh.write_bytes(data)
    fresh.replace(path)


def origin(path: Path) -> str:
    """How a path is called in messages: by the address that it stands for, where it does."""
    mirror = mirror_of(path) or mirror_of(path.parent)
    if mirror is None:
        return str(path)
    return mirror.remote.shown if path == mirror.folder else f"{mirror.remote.shown}/{last_name(str(path))}"
