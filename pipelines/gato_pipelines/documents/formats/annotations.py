"""Large JSON files, parsed without a copy, keeping only what is wanted."""

import mmap
from pathlib import Path
from typing import TypeVar

import msgspec

from gato_data.errors import InputError
from gato_pipelines.documents.formats.json_values import BOM, as_msgspec_reads

T = TypeVar("T")
Id = int | str
"""What annotation files call pictures, captions and questions."""


def read_annotations(path: Path, kind: type[T], what: str) -> T:
    """The content of a JSON file.

    Args:
        path: the file.
        kind: a msgspec type with the members wanted; all others are stepped over.
        what: what the file should be, for the error.

    Raises:
        InputError: it is missing, or not of that type.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return msgspec.json.decode(data, type=kind)
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError:
                return msgspec.json.decode(as_msgspec_reads(data).removeprefix(BOM), type=kind)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): {what} is wanted") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not {what} ({error})") from error


def find_one(folder: Path, patterns: tuple[str, ...], what: str, option: str) -> Path:
    """The one file below a folder that matches the first pattern that any file matches.

    Raises:
        InputError: there is none, or several.
    """
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(path.relative_to(folder).as_posix() for path in found[:5])
            raise InputError(f"{folder} holds several files that could be the {what} ({names}): name one with {option}")
    raise InputError(f"{folder} holds no {what} ({' or '.join(patterns)}): name the file with {option}")
