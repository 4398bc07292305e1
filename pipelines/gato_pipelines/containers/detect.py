"""Which container an input is, told from its files."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from gato_data.errors import InputError
from gato_pipelines.containers.container import Container, Conventions
from gato_pipelines.containers.minari_arrow import is_minari_arrow, minari_arrow_container
from gato_pipelines.containers.recognise import HDF5, MINARI, datasets_in, lerobot_around, recognise, refusal, rooted
from gato_pipelines.containers.rlds import rlds_container
from gato_pipelines.containers.shard_records import FILE_FORMATS, TFDS_FORMATS
from gato_pipelines.rlds.directory import Directory, open_directory
from gato_pipelines.rlds.versions import DATASET_INFO, FEATURES, only, walk

PARQUET = ".parquet"
DEFAULTS = Conventions()
_WANTED = (
    f"an RLDS dataset in TFDS layout ({DATASET_INFO} and {FEATURES}), JAT's parquet files, Minari's data/{MINARI} or "
    "data/0/part-0.arrow, LeRobot's meta/info.json, HDF5 files of D4RL, robomimic, LIBERO, ALOHA or ManiSkill, or raw "
    "RL Unplugged files (run_1-00000-of-00050)"
)


@lru_cache(maxsize=64)
def open_container(path: Path, conventions: Conventions = DEFAULTS) -> Container:
    """The container at a path; a worker opens each input once, not once per part.

    Args:
        path: a folder or a file.
        conventions: what its files do not settle.

    Raises:
        InputError: there is nothing that can be read, or several datasets; or a length is given for
            nothing.
        FormatError: a file is damaged.
        MissingPackageError: a package that the file format needs is not installed.
    """
    if (root := lerobot_around(path)) is not None:
        raise InputError(f"{path} is a part of the LeRobot dataset {root}, which is read whole: give that folder")
    try:
        found = _open(path if path.is_file() else _dataset_in(path), conventions)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): mend that, or give another") from error
    if conventions.episode_length is not None and not found.has_episode_length:
        raise InputError(f"{path} says itself where episodes end ({found.format}): leave --episode-length out")
    return found


def _dataset_in(path: Path) -> Path:
    """The one dataset at or below a folder: its root, or its file.

    Raises:
        InputError: there is none, or there are several.
    """
    found: list[Path] = []
    for listing in walk(path):
        if (sight := rooted(listing)) is None:
            found += datasets_in(listing)
            continue
        if listing.path == path:
            return path
        listing.folders.clear()
        if sight.format.holds == "episodes":
            found.append(listing.path)
    # what TFDS downloads lies beside what it makes of that
    found = [place for place in found if "downloads" not in place.relative_to(path).parts] or found
    if found:
        return only(path, found)
    if sight := recognise(path):
        raise refusal(path, sight)
    what = "holds nothing that can be read here" if any(path.iterdir()) else "is empty"
    raise InputError(f"{path} {what}: {_WANTED} is wanted")


def _open(path: Path, conventions: Conventions) -> Container:
    sight = recognise(path)
    if sight is not None and (reader := _READERS.get(sight.format.name)):
        return reader(path, conventions)
    if sight is not None:
        raise refusal(path, sight)
    if path.is_dir():
        return _open_files(path, conventions)
    # damaged, or of a layout that nothing tells: their readers say what is wrong
    if path.suffix in (PARQUET, *HDF5):
        return (_jat if path.suffix == PARQUET else _d4rl)(path, conventions)
    raise InputError(f"{path} is no file that can be read here: {_WANTED} is wanted")


def _open_files(folder: Path, conventions: Conventions) -> Container:
    """The container of a folder of parquet, HDF5 or raw files."""
    files = sorted(file for file in folder.iterdir() if file.suffix in (PARQUET, *HDF5))
    if not files:
        return _rlu_raw(folder, conventions)
    sight = next(filter(None, map(recognise, files)), None)
    if sight is not None and sight.format.name not in _READERS:
        raise refusal(folder, sight)
    if sight is not None and sight.format.name in _FOLDERS:
        return _READERS[sight.format.name](folder, conventions)
    if files[0].suffix == PARQUET:
        return _jat(folder, conventions)
    pattern = f"{folder}/*{files[0].suffix}"
    raise InputError(f"{folder} holds {len(files)} HDF5 files: give one of them, or a pattern such as {pattern}")


def _rlds(path: Path, conventions: Conventions) -> Container:
    directory, why = open_directory(path, (*FILE_FORMATS, *TFDS_FORMATS)), conventions.through_tfds
    return _through_tfds(directory, why) if why else rlds_container(directory)


def _through_tfds(directory: Directory, why: str) -> Container:
    from gato_pipelines.containers.tfds import tfds_container

    return tfds_container(directory, why)


def _jat(path: Path, _: Conventions) -> Container:
    from gato_pipelines.containers.jat import jat_container

    return jat_container(path)


def _minari(path: Path, _: Conventions) -> Container:
    from gato_pipelines.containers.minari import minari_container

    folder = path.parent if path.is_file() else path
    return minari_container(folder if (folder / MINARI).exists() else folder / "data")


def _minari_arrow(path: Path, _: Conventions) -> Container:
    folder = path if is_minari_arrow(path) else path / "data"
    return minari_arrow_container(folder)


def _lerobot(path: Path, conventions: Conventions) -> Container:
    from gato_pipelines.containers.lerobot import lerobot_container

    return lerobot_container(path, conventions.action_key)


def _d4rl(path: Path, conventions: Conventions) -> Container:
    from gato_pipelines.containers.d4rl import d4rl_container

    return d4rl_container(path, conventions.episode_length)


def _robomimic(path: Path, conventions: Conventions) -> Container:
    from gato_pipelines.containers.robomimic import robomimic_container

    return robomimic_container(path, conventions)


def _libero(path: Path, conventions: Conventions) -> Container:
    from gato_pipelines.containers.libero import libero_container

    return libero_container(path, conventions)


def _aloha(path: Path, conventions: Conventions) -> Container:
    from gato_pipelines.containers.aloha import aloha_container

    return aloha_container(path, conventions)


def _maniskill(path: Path, conventions: Conventions) -> Container:
    from gato_pipelines.containers.maniskill import maniskill_container

    return maniskill_container(path, conventions)


def _rlu_raw(path: Path, _: Conventions) -> Container:
    from gato_pipelines.containers.rlu_raw import rlu_raw_container

    return rlu_raw_container(path)


_READERS: dict[str, Callable[[Path, Conventions], Container]] = {
    "rlds": _rlds,
    "jat": _jat,
    "minari": _minari,
    "minari-arrow": _minari_arrow,
    "d4rl": _d4rl,
    "robomimic": _robomimic,
    "libero": _libero,
    "aloha": _aloha,
    "maniskill": _maniskill,
    "lerobot": _lerobot,
    "rlu-raw": _rlu_raw,
}
"""What reads a format, by its name."""
_FOLDERS = ("robomimic", "libero", "aloha")
"""Formats whose HDF5 files are one dataset where they lie in one folder."""
