"""Git LFS pointers: the few lines that stand for a file until `git lfs pull` fetches it."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from gato_data.errors import GatoError, InputError
from gato_pipelines.files.find import root_of
from gato_pipelines.files.unchanged import files_of
from gato_pipelines.remote.ranged import open_input
from gato_pipelines.source import Source
from gato_schemas.account import Note
from gato_schemas.index import Part

POINTER = "a Git LFS pointer, not the file itself: run git lfs pull"
_BEGINNINGS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_MAX_BYTES = 1024
_MAX_FILES = 100_000
_SHOWN = 3


def is_pointer(data: bytes) -> bool:
    """Whether the content of a file is a pointer."""
    return data.startswith(_BEGINNINGS) and len(data) <= _MAX_BYTES


def is_pointer_file(path: Path, *, there: bool = False) -> bool:
    """Whether a file is a pointer, or with `there` what a placeholder stands for; what cannot be read is none."""
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return False
        with open_input(path) if there else path.open("rb") as file:
            return is_pointer(file.read())
    except OSError:
        return False


def check_fetched(paths: Sequence[Path]) -> None:
    """Check that files are none, nor what placeholders stand for.

    Raises:
        InputError: one is a pointer, or does not come.
    """
    for path in paths:
        if is_pointer_file(path, there=True):
            raise InputError(f"{path} is {POINTER}")


def fetched_parts(source: Source, folder: Path) -> list[Part]:
    """The parts of an input whose files were fetched.

    Raises:
        InputError: the source says so, or files are pointers and it is not told to go on without
            them.
    """
    try:
        parts = source.parts(folder)
    except (GatoError, OSError) as error:
        if lost := sorted(_pointers_below(folder)):
            raise _not_fetched(source, folder, lost) from error
        raise
    files = [files_of(source, folder, part) for part in parts]
    lost = _lost(folder, files)
    kept = [part for part, names in zip(parts, files, strict=True) if not set(lost).intersection(names)]
    if lost and not (kept and source.allow_missing_shards):
        raise _not_fetched(source, folder, lost)
    return kept


def unfetched(source: Source, folder: Path) -> list[Note]:
    """A note of the files that an ingest goes on without."""
    if not source.allow_missing_shards:
        return []
    lost = _lost(folder, [files_of(source, folder, part) for part in source.parts(folder)])
    return [Note("missing", "files are Git LFS pointers, whose content was not fetched", len(lost))] if lost else []


def _lost(folder: Path, files: Sequence[Sequence[str]]) -> list[str]:
    root = root_of(folder)
    return sorted({name for names in files for name in names if is_pointer_file(root / name)})


def _not_fetched(source: Source, folder: Path, lost: Sequence[str]) -> InputError:
    if folder.is_file():
        return InputError(f"{folder} is {POINTER}")
    shown = ", ".join(lost[:_SHOWN]) + (", ..." if len(lost) > _SHOWN else "")
    one = len(lost) == 1
    what = "1 file of {} is a Git LFS pointer" if one else f"{len(lost):,} files of {{}} are Git LFS pointers"
    them = "it" if one else "them"
    go_on = f", or go on without {them} with --allow-missing-shards" if source.allow_missing_shards is not None else ""
    return InputError(f"{what.format(folder)} ({shown}): run git lfs pull there{go_on}")


def _pointers_below(folder: Path) -> Iterator[str]:
    if folder.is_file():
        yield from [folder.name] if is_pointer_file(folder) else []
    seen = 0
    for base, _, files in os.walk(folder):
        for name in files:
            path = Path(base) / name
            if is_pointer_file(path):
                yield path.relative_to(folder).as_posix()
        seen += len(files)
        if seen > _MAX_FILES:
            return
