"""Setting damaged pieces aside, byte by byte: a repair may be wrong about what is damage."""

import os
from pathlib import Path

import google_crc32c

from gato_data.verify.folder import QUARANTINE

_COPIED_BYTES = 1 << 20


def set_aside(path: Path, start: int = 0, end: int | None = None) -> str:
    """Copy bytes [start, end) of a file into the quarantine and flush them; returns the copy's name in the dataset.

    The name holds where they came from and their checksum, so that nothing is overwritten, and a repair that is run
    again writes the same file.

    Raises:
        OSError: the file cannot be read, or the quarantine cannot be written.
    """
    folder = path.parent / QUARANTINE
    folder.mkdir(exist_ok=True)
    temporary = folder / f"{path.name}.tmp"
    temporary.unlink(missing_ok=True)
    checksum = google_crc32c.Checksum()
    with path.open("rb") as source, temporary.open("xb") as target:
        source.seek(start)
        left = path.stat().st_size - start if end is None else end - start
        while left > 0 and (block := source.read(min(left, _COPIED_BYTES))):
            checksum.update(block)
            target.write(block)
            left -= len(block)
        target.flush()
        os.fsync(target.fileno())
    place = "" if end is None else f".{start}-{end}"
    copy = folder / f"{path.name}{place}.{checksum.hexdigest().decode()}"
    temporary.replace(copy)
    return f"{QUARANTINE}/{copy.name}"


def move_aside(path: Path) -> str:
    """Move a whole file into the quarantine; returns its name in the dataset.

    Raises:
        OSError: it cannot be moved.
    """
    name = set_aside(path)
    path.unlink()
    return name
