"""What a folder or archive holds besides what is read: passed over, and said so."""

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from gato_schemas.account import Note

_ABOUT = re.compile(
    r"(?:licen[cs]es?|copying|copyright|readme\w*)(?:[._-]\w+){0,3}\.(?:txt|md)|robots\.txt"
    r"|(?:md5|sha\d+|b2|check)[_-]?sums?(?:\.\w+)?\.txt"
    r"|dataset_infos?\.json|dataset_dict\.json|features\.json",
    re.IGNORECASE,
)
_SHARD = re.compile(r"-\d+-of-\d+")
_KINDS = 30
"""Kinds of files that are told apart."""


def is_about(name: str) -> bool:
    """Whether a file that looks like a text says something of the others: a licence, a readme, checksums."""
    return bool(_ABOUT.fullmatch(PurePosixPath(name).name))


def without_about(names: list[str]) -> list[str]:
    """The names without those of files about the others; all of them where there are no others."""
    return [name for name in names if not is_about(name)] or names


class PassedOver:
    """Counts files that are not read, by kind."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def add(self, name: str) -> None:
        """Count one."""
        self._add(_kind(name), name)

    def add_linked(self, name: str) -> None:
        """Count a folder that is a link, and is not followed."""
        self._add("folders behind links", name)

    def _add(self, kind: str, name: str) -> None:
        if kind not in self._counts and len(self._counts) >= _KINDS:
            kind = "other files"
        self._counts[kind] += 1
        self._examples.setdefault(kind, name)

    def notes(self, where: str = "") -> list[Note]:
        """A note for each kind, with an example."""
        return [
            Note("passed-over", f"{kind}{where}, such as {self._examples[kind]}", count)
            for kind, count in self._counts.items()
        ]


def passed_over(folder: Path, is_read: Callable[[str], bool]) -> list[Note]:
    """A note for each kind of file of a folder that is not read; none where a file was named.

    Args:
        folder: the input; hidden files and folders do not count.
        is_read: whether a file is read, by its name relative to the folder.
    """
    found = PassedOver()
    for base, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        place = Path(base).relative_to(folder)
        for name in folders:
            if (Path(base) / name).is_symlink():
                found.add_linked(_shown(place / name))
        for name in sorted(files):
            path = (place / name).as_posix()
            if not name.startswith(".") and not is_read(path):
                found.add(_shown(place / name))
    return found.notes()


def _shown(path: Path) -> str:
    return os.fsencode(path.as_posix()).decode(errors="replace")


def _kind(name: str) -> str:
    if is_about(name):
        return "files about the others"
    suffixes = PurePosixPath(_SHARD.sub("", name)).suffixes
    return f"{''.join(suffixes[-2:]).lower()[:40]} files" if suffixes else "files without a suffix"
