"""Input that something still writes to: what the planning pass counted has to be what becomes tokens."""

import os
import stat
from pathlib import Path

from gato_data.errors import InputError
from gato_pipelines.files.find import root_of
from gato_pipelines.source import Source
from gato_schemas.index import Part


def files_of(source: Source, folder: Path, part: Part) -> list[str]:
    """Names of the files that a part is read from, relative to the input's root; a source may have several.

    A part that is a folder is read from all files in it.
    """
    names = source.files_of(folder, part)
    root = root_of(folder)
    if len(names) == 1 and (root / names[0]).is_dir():
        walked = (Path(base, name) for base, _, files in os.walk(root / names[0]) for name in files)
        return sorted(path.relative_to(root).as_posix() for path in walked)
    return names


def files_to_scan(source: Source, folder: Path, part: Part) -> list[str]:
    """Names of those of the files of a part that its scan opens."""
    names = source.files_to_scan(folder, part)
    return files_of(source, folder, part) if names is None else names


def size_of(source: Source, folder: Path, part: Part) -> int | None:
    """Bytes of a part's files; None where one is no file of that name: then the source looks after it."""
    paths = [root_of(folder) / name for name in files_of(source, folder, part)]
    try:
        states = [path.stat() for path in paths]
    except OSError:
        return None
    return sum(state.st_size for state in states) if all(stat.S_ISREG(state.st_mode) for state in states) else None


def check_unchanged(source: Source, folder: Path, part: Part, size: int | None) -> None:
    """Check that a part's files still have the size that they were scanned with; None is no size.

    Raises:
        InputError: they have another one.
        OSError: one is gone.
    """
    if size is None:
        return
    now = sum((root_of(folder) / name).stat().st_size for name in files_of(source, folder, part))
    if now != size:
        raise changed(part.file, size, now)


def changed(file: str, was: int, now: int) -> InputError:
    """What to tell a user whose input is not at rest."""
    size = f"{now} now" if now != was else "as many now, but was written again"
    return InputError(
        f"{file} changed while it was ingested: it had {was} bytes and has {size}; run the same command again when "
        "nothing writes to it any more, finished shards are kept"
    )
