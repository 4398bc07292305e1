"""The files of an input: one file, or a folder of them."""

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from gato_data.errors import InputError

MAX_FILES = 1_000_000


def root_of(path: Path) -> Path:
    """The folder that the names of `find_files` are relative to."""
    return path if path.is_dir() else path.parent


def find_files(path: Path, wanted: Callable[[str], bool], what: str) -> list[str]:
    """Names of the files of an input that are wanted, relative to its root, with "/" and sorted.

    Args:
        path: a file, or a folder (searched to any depth; hidden files and folders are passed over).
        wanted: whether a file of that name is read.
        what: the kinds of files wanted, for the error.

    Raises:
        InputError: there is no such file.
    """
    if path.is_dir():
        found = sorted(_walk(path, wanted))
        if not found:
            raise InputError(f"{path} holds none of these: {what}")
        return found
    if not wanted(path.name):
        raise InputError(f"{path} is none of these: {what}")
    return [_checked(path.name, path.parent)]


def _walk(folder: Path, wanted: Callable[[str], bool]) -> list[str]:
    found = []
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            file = Path(base) / name
            if not name.startswith(".") and wanted(name) and file.is_file():
                found.append(_checked(file.relative_to(folder).as_posix(), folder))
        if len(found) > MAX_FILES:
            raise InputError(f"{folder} holds more than {MAX_FILES:,} files: give one of its folders at a time")
    return found


def _checked(name: str, folder: Path) -> str:
    """A name that can be written into the dataset."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        shown = os.fsencode(name).decode(errors="replace")
        raise InputError(f"{folder} holds a file whose name is not UTF-8 ({shown}): rename it") from error
    return name


def normal_path(name: str) -> str:
    """A name as others may have written it, without what means nothing: "./a", "a//b" or "a\\b" of Windows."""
    return str(PurePosixPath(name.replace("\\", "/")))
