"""What `INPUT...` on a command line stands for: folders and files, each with a name that goes into the manifest."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from gato_data.errors import InputError
from gato_pipelines.containers.detect import open_container
from gato_pipelines.source import Source

MAX_INPUTS = 10_000


def find_inputs(source: Source, given: Path | Sequence[Path]) -> dict[str, Path]:
    """The inputs in the order given (those of a pattern sorted), by the names they call themselves.

    Only the names go into files. Where two inputs call themselves the same, the later ones get a number.

    Raises:
        InputError: an input is missing, given twice, or nothing matches a pattern.
    """
    open_container.cache_clear()  # an input may have changed since an earlier run of this process
    found: dict[str, Path] = {}
    seen: set[Path] = set()
    for path in _expand([given] if isinstance(given, Path) else given):
        if (real := path.resolve()) in seen:
            raise InputError(f"{path} is given twice: give every input once")
        seen.add(real)
        if len(seen) > MAX_INPUTS:
            raise InputError(f"there are more than {MAX_INPUTS} inputs: give fewer at a time")
        found[_unique("+".join(source.input_names(path)), found)] = path
    if not found:
        raise InputError("there is no input: give a folder or a file")
    return found


def _expand(given: Sequence[Path]) -> Iterator[Path]:
    for path in given:
        if path.exists() or not glob.has_magic(str(path)):
            yield path
            continue
        matches = sorted(glob.glob(str(path)))
        if not matches:
            raise InputError(f"nothing matches {path}: give folders or files that are there")
        yield from map(Path, matches)


def _unique(name: str, taken: dict[str, Path]) -> str:
    numbered, number = name, 1
    while numbered in taken:
        number += 1
        numbered = f"{name} ({number})"
    return numbered
