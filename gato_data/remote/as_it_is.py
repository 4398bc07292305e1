"""A dataset at an address as it is there now, damaged files too, for those who check it: the cache gives nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from gato_data.errors import FormatError
from gato_data.files import make_placeholder, user_cache
from gato_data.remote.address import as_place
from gato_data.remote.folder import RemoteFolder
from gato_data.remote.lent_folder import cannot_write, lent_folder
from gato_data.remote.mirror import SHARD, SIDE_BY_SIDE, DatasetMirror, mirror_of, objects_of, opened
from gato_schemas.dataset import BESIDE_SHARDS, MANIFEST, MANIFEST_COPY
from gato_schemas.index import SUFFIX


@contextmanager
def as_it_is(place: Path | str, cache: Path | None = None) -> Iterator[Path]:
    """A folder of this machine for that of a dataset, for as long as the body runs; shards have their size alone.

    Args:
        place: a path, which is given back, or an address.
        cache: where the folder is made; None is the user's own.

    Raises:
        InputError: there is nothing at the address, or it cannot be read.
        FormatError: there is neither a manifest nor its copy.
        MissingPackageError: a package that reads it is not installed.
    """
    place = as_place(place) if isinstance(place, str) else place
    if isinstance(place, Path):
        yield place
        return
    cache = (cache or user_cache()).absolute()
    remote = RemoteFolder(place)
    objects = objects_of(remote)
    if not {MANIFEST, MANIFEST_COPY} & objects.keys():
        raise FormatError(
            f"{remote.shown} has no {MANIFEST}: it is not a dataset of gato-data, or its ingest did not finish"
        )
    with lent_folder(cache) as lent:
        mirror = DatasetMirror(remote, lent / "dataset", cache, objects)
        with opened(mirror):
            try:
                _fill(mirror)
            except OSError as error:
                raise cannot_write(cache, error) from error
            yield mirror.folder


@contextmanager
def whole_file(path: Path) -> Iterator[None]:
    """Have all of a shard of such a folder in its place while the body runs; of other files nothing is done.

    Raises:
        InputError: it cannot be fetched, or the cache has no room for it.
    """
    mirror = mirror_of(path.parent)
    if mirror is None or path.name not in mirror.objects:
        yield
        return
    try:
        try:
            mirror.remote.get([path.name], [path])
        except OSError as error:
            raise cannot_write(mirror.cache, error) from error
        yield
    finally:
        make_placeholder(path, mirror.objects[path.name].size)


def _fill(mirror: DatasetMirror) -> None:
    """Fetch what is small, side by side, and make a file without content of everything else."""
    wanted = []
    for name, found in mirror.objects.items():
        path = mirror.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in BESIDE_SHARDS or (SHARD in name and name.endswith(SUFFIX) and "/" not in name):
            wanted.append(name)
        else:
            make_placeholder(path, found.size)

    def bring(name: str) -> None:
        (mirror.folder / name).write_bytes(mirror.fetch(name, 0, mirror.objects[name].size, lambda data: ""))

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for _ in pool.map(bring, wanted):
            pass
