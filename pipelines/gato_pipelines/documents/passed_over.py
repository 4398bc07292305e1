"""The files of an input that are not read, counted by suffix."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from gato_pipelines.documents.streams import is_compressed, plain_name
from gato_schemas.account import Note


def passed_over(folder: Path, is_read: Callable[[str], bool]) -> list[Note]:
    """A note for each suffix of the files below a folder that are not read, with the first of their names.

    Args:
        folder: the input; where it is a file, nothing lies beside it that was given.
        is_read: whether a file of that name is read. Hidden files and folders are never read, and not counted.
    """
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and not is_read(name):
                shown = os.fsencode(os.path.relpath(os.path.join(base, name), folder)).decode(errors="replace")
                suffix = _suffix(name)
                first[suffix] = min(first.get(suffix, shown), shown)
                counts[suffix] += 1
    return [
        Note("passed-over", f"{_files(suffix)}, such as {first[suffix]}", counts[suffix]) for suffix in sorted(counts)
    ]


def _suffix(name: str) -> str:
    inner = Path(plain_name(name)).suffix if is_compressed(name) else ""
    return inner + Path(name).suffix.lower()


def _files(suffix: str) -> str:
    return f"{suffix} files" if suffix else "files without a suffix"
