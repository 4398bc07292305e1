"""What `INPUT...` on a command line stands for: folders and files, each with a name that goes into the manifest."""

import glob
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path

from gato_data.closest import close_names
from gato_data.errors import InputError
from gato_data.remote.address import is_remote
from gato_pipelines.containers.detect import open_container
from gato_pipelines.containers.recognise import documents_lack, no_documents
from gato_pipelines.documents.pairs.tables import beside
from gato_pipelines.files.find import root_of
from gato_pipelines.remote.input import Mirror, files_here
from gato_pipelines.source import Source
from gato_schemas.index import Part

MAX_INPUTS = 10_000
_MAX_NAMES = 10_000
"""Entries of a folder among which a close name is looked for."""


@dataclass(frozen=True)
class InputFolders:
    """Where the inputs lie; it travels to workers, and no path goes into a file.

    Attributes:
        given: folders and files, or the mirrors of those whose files come when they are read, by
            the names they call themselves.
    """

    given: Mapping[str, Path | Mirror]

    @property
    def folders(self) -> dict[str, Path]:
        """Folders and files of this machine."""
        return {name: _path(found) for name, found in self.given.items()}

    @property
    def mirrors(self) -> dict[str, Mirror]:
        """Those of remote inputs."""
        return {name: found for name, found in self.given.items() if isinstance(found, Mirror)}

    def folder(self, part: Part) -> Path:
        """The input that a part belongs to."""
        return _path(self.given[part.input])

    def files_here(self, source: Source, part: Part, *, scans: bool = False) -> AbstractContextManager[None]:
        """Have the files of a part on this machine, or those that a scan opens; InputError where that cannot be."""
        return files_here(self.mirrors, source, self.folder(part), part, scans=scans)


def _path(found: Path | Mirror) -> Path:
    return found.path if isinstance(found, Mirror) else found


def find_inputs(source: Source, given: Path | Sequence[Path]) -> dict[str, Path]:
    """The inputs in the order given (those of a pattern sorted), by the names they call themselves.

    Only the names go into files. Where two inputs call themselves the same, the later ones get a
    number.

    Raises:
        InputError: an input, or a path that a setting names, is missing or cannot be read; an input
            is given twice; nothing matches a pattern; or a source of documents is given episodes.
    """
    open_container.cache_clear()  # an input may have changed since an earlier run of this process
    found: dict[str, Path] = {}
    seen: set[Path] = set()
    for path in _expand([given] if isinstance(given, Path) else given):
        check_place(path, str(path))
        if (real := path.resolve()) in seen:
            raise InputError(f"{path} is given twice: give every input once")
        seen.add(real)
        if len(seen) > MAX_INPUTS:
            raise InputError(f"there are more than {MAX_INPUTS} inputs: give fewer at a time")
        _check_settings(source, path)
        if source.reads_documents and (sight := documents_lack(path)):
            raise no_documents(path, sight)
        found[unique_name("+".join(source.input_names(path)), found)] = path
    if not found:
        raise InputError("there is no input: give a folder or a file")
    return found


def check_place(path: Path, shown: str) -> None:
    """Check that there is a folder or a file, and that it can be opened.

    Args:
        path: of it.
        shown: how it was given.

    Raises:
        InputError: there is none; a close name in the same folder is suggested.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()
    except (FileNotFoundError, NotADirectoryError) as error:
        what = "is a link to what does not exist" if path.is_symlink() else "does not exist"
        close = _close_to(path)
        hint = f"did you mean {close}?" if close else "give the folder or the file of a dataset"
        raise InputError(f"{shown} {what}: {hint}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{shown} cannot be read ({reason}): mend that, or give another") from error
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise InputError(f"{shown} is a pipe or a device: write its content to a file and give that")


def _close_to(path: Path) -> str:
    """A path that there is and that differs from this one in one close name; empty where there is none."""
    missing = path
    while not missing.parent.is_dir() and missing.parent != missing:
        missing = missing.parent
    with suppress(OSError), os.scandir(missing.parent) as entries:
        names = {entry.name.lower(): entry.name for entry in islice(entries, _MAX_NAMES) if entry.name.isprintable()}
        for name in close_names(missing.name.lower(), names):
            found = missing.parent / names[name] / path.relative_to(missing)
            if found.exists():
                return str(found)
    return ""


def _check_settings(source: Source, path: Path) -> None:
    """Check that the paths which settings name are there: beside or inside an input, or from the current folder."""
    for entry in fields(source):  # type: ignore[arg-type]
        value = getattr(source, entry.name)
        if not value or not entry.metadata.get("is_path"):
            continue
        shown = f"--{entry.name.replace('_', '-')} {value}"
        if is_remote(value):
            raise InputError(f"{shown} is remote: copy it to this machine, or put it into the folder of the input")
        place = beside(path, value)
        if not place.exists() and (close := _close_to(root_of(path) / value)):
            raise InputError(f"{shown} does not exist: did you mean {close}?")
        check_place(place, shown)


def _expand(given: Sequence[Path]) -> Iterator[Path]:
    for path in given:
        if not glob.has_magic(str(path)) or os.path.lexists(path):
            yield path
            continue
        matches = sorted(glob.glob(str(path)))
        if not matches:
            raise InputError(f"nothing matches {path}: give folders or files that are there")
        yield from map(Path, matches)


def unique_name(name: str, taken: Collection[str]) -> str:
    """The name, with a number behind it where it is taken."""
    numbered, number = name, 1
    while numbered in taken:
        number += 1
        numbered = f"{name} ({number})"
    return numbered
