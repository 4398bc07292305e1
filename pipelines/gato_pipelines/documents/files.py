"""The files of an input: one file, a folder of them, or a pattern."""

import glob
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from gato_data.errors import InputError

MAX_FILES = 1_000_000
_MAGIC = frozenset("*?[")


def is_pattern(path: Path) -> bool:
    """Whether a path that does not exist is a pattern such as `pile/*.jsonl.zst`."""
    return bool(_MAGIC & set(str(path))) and not path.exists()


def root_of(path: Path) -> Path:
    """The folder that the names of `find_files` are relative to."""
    if is_pattern(path):
        parts = path.parts
        fixed = next(number for number, part in enumerate(parts) if _MAGIC & set(part))
        return Path(*parts[:fixed])
    return path.parent if path.is_file() else path


def find_files(path: Path, wanted: Callable[[str], bool], what: str) -> list[str]:
    """Names of the files of an input that are wanted, relative to its root, with "/" and sorted.

    Args:
        path: a file, a folder (searched to any depth; hidden files are passed over) or a pattern.
        wanted: whether a file of that name is read.
        what: the kinds of files wanted, for the error.

    Raises:
        InputError: there is no such file, or the input is missing.
    """
    if path.is_file():
        if not wanted(path.name):
            raise InputError(f"{path} is none of {what}: convert it, or give another file or folder")
        return [path.name]
    if path.is_dir():
        found = _walk(path, wanted)
    elif is_pattern(path):
        matches = (Path(name) for name in glob.iglob(str(path), recursive=True))
        found = [_relative(file, root_of(path)) for file in matches if file.is_file() and wanted(file.name)]
    else:
        raise InputError(f"{path} does not exist: give a file or folder with {what}")
    if not found:
        raise InputError(f"{path} holds none of {what}: give a file or folder that does")
    return sorted(found)


def _walk(folder: Path, wanted: Callable[[str], bool]) -> list[str]:
    found = []
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and wanted(name) and (Path(base) / name).is_file():
                found.append(_relative(Path(base) / name, folder))
        if len(found) > MAX_FILES:
            raise InputError(f"{folder} holds more than {MAX_FILES:,} files: give one of its folders at a time")
    return found


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()


def is_inside(name: str) -> bool:
    """Whether a name from an untrusted file stays below the folder or archive that it is looked up in."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name
