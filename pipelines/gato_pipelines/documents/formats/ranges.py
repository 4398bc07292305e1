"""Byte ranges: how large files become parts, and which do."""

from collections.abc import Sequence
from pathlib import Path

from gato_pipelines.files.streams import is_compressed
from gato_schemas.index import Part

MAX_PARTS = 4096
"""Very large inputs make larger parts instead of more."""
PART_BYTES = 1 << 26
"""Bytes of one part: ten seconds of work, and a shard of about 80 MB for text."""
MAX_FILES_OF_PART = 10_000
NOTED_BYTES = 1 << 24
"""A compressed file from this size on is worth a note."""


def part_limit(root: Path, names: Sequence[str]) -> int:
    """Bytes of a part of these files: a function of the input alone, so that nothing depends on who reads it."""
    total = sum((root / name).stat().st_size for name in names)
    return max(PART_BYTES, -(-total // MAX_PARTS))


def file_parts(path: Path, name: str, task: str, limit: int, *, shared: bool = True) -> list[Part]:
    """Byte ranges of a plain file: `first` is a byte, `count` becomes known in the scan.

    A compressed file is one part, and so is one that is not `shared`.
    """
    size = path.stat().st_size
    if is_compressed(name) or not shared:
        return [Part(name, task, size)]
    return [Part(name, task, min(limit, size - first), first) for first in range(0, max(size, 1), limit)]


def runs_of_files(root: Path, names: Sequence[str], task: str, limit: int) -> list[Part]:
    """Runs of small files that make one part each: `first` and `count` are places in `names`."""
    parts, first, size = [], 0, 0
    for number, name in enumerate(names):
        bytes_ = (root / name).stat().st_size
        if number > first and (size + bytes_ > limit or number - first == MAX_FILES_OF_PART):
            parts.append(Part(names[first], task, size, first, number - first))
            first, size = number, 0
        size += bytes_
    return [*parts, Part(names[first], task, size, first, len(names) - first)] if names else parts
