"""Where TFDS keeps its datasets below a folder: `<version>`, `<config>/<version>`, `<name>/<config>/<version>`."""

import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gato_data.errors import InputError

DATASET_INFO = "dataset_info.json"
FEATURES = "features.json"
DEPTH = 4
"""Levels below a folder that are looked at: one more than TFDS's `<name>/<config>/<version>`."""
MAX_ENTRIES = 100_000
_MAX_LISTED = 10
_VERSION = re.compile(r"\d+\.\d+\.\d+")


@dataclass(slots=True)
class Listing:
    """What a folder holds, without hidden entries; names that are taken out of `folders` are not looked into."""

    path: Path
    files: frozenset[str]
    folders: list[str]


def walk(root: Path) -> Iterator[Listing]:
    """A folder and those below it, level by level; links are followed, but no folder comes twice.

    Raises:
        InputError: there are more than `MAX_ENTRIES` files and folders.
        OSError: the folder itself cannot be read.
    """
    pending, seen, left = deque([(root, 0)]), {root.resolve()}, MAX_ENTRIES
    while pending:
        folder, level = pending.popleft()
        with suppress(*(() if folder == root else (OSError,))):
            listing = _list(folder, left)
            left -= len(listing.files) + len(listing.folders)
            if left < 0:
                raise InputError(f"{root} holds more than {MAX_ENTRIES} entries: give the folder of one dataset")
            yield listing
            for below in (folder / name for name in listing.folders if level < DEPTH):
                if (real := below.resolve()) not in seen:
                    seen.add(real)
                    pending.append((below, level + 1))


def _list(folder: Path, most: int) -> Listing:
    """The entries of a folder, sorted, links last; one more than `most` of them will do."""
    files, folders = set[str](), list[tuple[bool, str]]()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not entry.is_dir():
                files.add(entry.name)
            elif ".incomplete" not in entry.name:  # what TFDS has not finished
                folders.append((entry.is_symlink(), entry.name))
            if len(files) + len(folders) > most:
                break
    return Listing(folder, frozenset(files), [name for _, name in sorted(folders)])


def find_version(path: Path) -> Path:
    """The folder of the only version at `path` or below it.

    Raises:
        InputError: the folder is empty, no folder, holds several versions or none.
    """
    if not path.is_dir():
        raise InputError(
            f"{path} is no folder: give the folder of an RLDS dataset (with {DATASET_INFO} and {FEATURES})"
        )
    if (path / DATASET_INFO).exists() or (path / FEATURES).exists():
        for name in (DATASET_INFO, FEATURES):
            if not (path / name).exists():
                raise InputError(f"{path} has no {name}: it is not a complete TFDS dataset")
        return path
    versions = []
    for listing in walk(path):
        if listing.files >= {DATASET_INFO, FEATURES}:
            versions.append(listing.path)
            listing.folders.clear()
    if versions:
        return only(path, versions)
    what = (
        f"holds no RLDS dataset (no folder with {DATASET_INFO} and {FEATURES})" if any(path.iterdir()) else "is empty"
    )
    raise InputError(f"{path} {what}: give the folder of an RLDS dataset")


def only(root: Path, found: Sequence[Path]) -> Path:
    """The one dataset that was found below a folder.

    Raises:
        InputError: there are several; lists them, and says which is the newest of several versions.
    """
    if len(found) == 1:
        return found[0]
    listed = ", ".join(sorted(str(path.relative_to(root)) for path in found)[:_MAX_LISTED])
    more = f" and {len(found) - _MAX_LISTED} more" if len(found) > _MAX_LISTED else ""
    newest = _newest(found)
    raise InputError(
        f"{root} holds several datasets ({listed}{more}): give the folder of one of them, or several folders"
        + (f"; {newest} is the newest version" if newest else "")
    )


def _newest(found: Sequence[Path]) -> str:
    """The name of the newest version where all are versions of one dataset; else empty."""
    if len({path.parent for path in found}) > 1 or not all(_VERSION.fullmatch(path.name) for path in found):
        return ""
    return max((path.name for path in found), key=lambda name: [int(number) for number in name.split(".")])
