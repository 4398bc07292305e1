"""Which container an input is, told from its files."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from gato_data.errors import InputError
from gato_pipelines.containers.container import Container
from gato_pipelines.containers.minari_arrow import is_minari_arrow, minari_arrow_container
from gato_pipelines.containers.rlds import FAST_FORMATS, rlds_container
from gato_pipelines.rlds.directory import DATASET_INFO, FEATURES, Directory, open_directory

TFDS_FORMATS = ("riegeli", "parquet", "bagz")
"""File formats that only TFDS reads."""
_HDF5 = (".hdf5", ".h5")
_MINARI = "main_data.hdf5"
_WANTED = (
    f"an RLDS dataset in TFDS layout ({DATASET_INFO} and {FEATURES}), JAT's parquet files, Minari's data/{_MINARI} or "
    "data/0/part-0.arrow, a D4RL .hdf5 file, or raw RL Unplugged files (run_1-00000-of-00050)"
)


@lru_cache(maxsize=64)
def open_container(path: Path, through_tfds: str = "", episode_length: int | None = None) -> Container:
    """The container at a path; a worker opens each input once, not once per part.

    Args:
        path: a folder or a file.
        through_tfds: why TFDS has to read an RLDS dataset; empty where it need not.
        episode_length: timesteps after which an episode ends where a file does not say; None where it does.

    Raises:
        InputError: there is nothing, nothing that can be read, or several datasets; or a length is given for nothing.
        FormatError: a file is damaged.
        MissingPackageError: a package that the file format needs is not installed.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: give the folder or the file of a dataset")
    try:
        found = _open_file(path, episode_length) if path.is_file() else _open_folder(path, through_tfds, episode_length)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): mend that, or give another") from error
    if episode_length is not None and not found.has_episode_length:
        raise InputError(f"{path} says itself where episodes end ({found.format}): leave --episode-length out")
    return found


def _open_file(path: Path, episode_length: int | None = None) -> Container:
    if path.suffix == ".parquet":
        from gato_pipelines.containers.jat import jat_container

        return jat_container(path)
    if path.name == _MINARI:
        from gato_pipelines.containers.minari import minari_container

        return minari_container(path.parent)
    if path.suffix in _HDF5:
        from gato_pipelines.containers.d4rl import d4rl_container

        return d4rl_container(path, episode_length)
    if _is_gzip(path):
        from gato_pipelines.containers.rlu_raw import rlu_raw_container

        return rlu_raw_container(path)
    raise InputError(f"{path} is no file that can be read here: {_WANTED} is wanted")


def _open_folder(path: Path, through_tfds: str, episode_length: int | None) -> Container:
    if _has_rlds(path):
        return _open_rlds(path, through_tfds)
    for folder in (path, path / "data"):
        if (folder / _MINARI).is_file():
            return _open_file(folder / _MINARI)
        if is_minari_arrow(folder):
            return minari_arrow_container(folder)
        if any(folder.glob("*.parquet")):
            from gato_pipelines.containers.jat import jat_container

            return jat_container(folder)
    hdf5 = sorted(file for file in path.iterdir() if file.suffix in _HDF5)
    if len(hdf5) > 1:
        raise InputError(f"{path} holds {len(hdf5)} HDF5 files: give one of them, or a pattern such as {path}/*.hdf5")
    if hdf5:
        return _open_file(hdf5[0], episode_length)
    if any(_is_raw(file) for file in path.iterdir()):
        from gato_pipelines.containers.rlu_raw import rlu_raw_container

        return rlu_raw_container(path)
    what = "holds nothing that can be read here" if any(path.iterdir()) else "is empty"
    raise InputError(f"{path} {what}: {_WANTED} is wanted")


def _has_rlds(path: Path) -> bool:
    """Whether a folder, or one at most two levels below it, is one of TFDS's."""
    patterns = ("", "*/", "*/*/")
    return any(_first(path.glob(pattern + name)) for pattern in patterns for name in (DATASET_INFO, FEATURES))


def _first(paths: Iterable[Path]) -> Path | None:
    return next(iter(paths), None)


def _open_rlds(path: Path, through_tfds: str) -> Container:
    directory = open_directory(path, (*FAST_FORMATS, *TFDS_FORMATS))
    if directory.file_format in TFDS_FORMATS and not through_tfds:
        through_tfds = f"it is stored as {directory.file_format}"
    return _through_tfds(directory, through_tfds) if through_tfds else rlds_container(directory)


def _through_tfds(directory: Directory, why: str) -> Container:
    from gato_pipelines.containers.tfds import tfds_container

    return tfds_container(directory, why)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _is_raw(path: Path) -> bool:
    from gato_pipelines.containers.rlu_raw import FILE_NAME

    return bool(FILE_NAME.match(path.name)) and path.is_file() and _is_gzip(path)
