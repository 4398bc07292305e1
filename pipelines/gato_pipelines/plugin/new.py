"""A file to start a source of one's own from."""

import re
from keyword import iskeyword
from pathlib import Path

from gato_data.errors import OutputError, SettingError
from gato_pipelines.registry.own import find_sources

_START = Path(__file__).with_name("starting_source.py")
_START_NAME = "arm-npz"
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


def write_source(name: str, folder: Path) -> Path:
    """Write a source that works, to be changed; `folder` has to be on Python's path to use it.

    Returns:
        the file.

    Raises:
        SettingError: the name can be none of a source, or is that of another one.
        OutputError: there is such a file, or it cannot be written.
    """
    module, name = name.replace("-", "_"), name.replace("_", "-")
    if not _NAME.fullmatch(name) or iskeyword(module):
        raise SettingError(f"no source can be named {name!r}: give letters a-z, digits and hyphens, such as my-arm")
    file = folder / "gato_pipelines" / "sources" / f"{module}.py"
    if file.exists():
        raise OutputError(f"{file} is there already: nothing was written, give another name or folder")
    if name in find_sources():
        raise SettingError(f"there is a source named {name!r} already: give another name")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_START.read_text(encoding="utf-8").replace(_START_NAME, name), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{file} cannot be written ({error.strerror}): give another folder") from error
    return file
