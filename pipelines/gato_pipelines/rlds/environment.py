"""What a recording says of the simulator that it was made in: the `metadata.json` that `gato-data record` writes.

Anybody may have written that file, so it is data and nothing more: it is read up to a size, simple values of it are
kept, and nothing that it names is imported.
"""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

import msgspec

from gato_pipelines.rlds.directory import Directory
from gato_pipelines.rlds.writer import METADATA
from gato_schemas.account import Note
from gato_schemas.dataset import EnvironmentInfo
from gato_schemas.regular_file import check_regular

MAX_BYTES = 1 << 16
MAX_ENTRIES = 64
MAX_TEXT = 256
"""Characters of a name or a text."""
_RECORDER = re.compile(r"gato_pipelines\.recorders\.([a-z][a-z0-9_]{0,63})")
_PLAYED = ("env", "game", "level", "task")
"""Keys of what is played, of one recorder or another."""
_VERSION = re.compile(r"\d+\.\d+[\w.+-]*")
_MAX_WHOLE = 2**53


def read_environment(directory: Directory) -> tuple[EnvironmentInfo | None, tuple[Note, ...]]:
    """Where the episodes of a folder were played, None where they are no recording; and what is wrong with its file."""
    path = directory.path / METADATA
    if not path.exists():
        return None, ()
    try:
        check_regular(path)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES >> 10} KiB")
        found = msgspec.json.decode(data, type=dict[str, Any])
    except (OSError, ValueError, RecursionError) as error:
        why = f"{METADATA} of {directory.name} cannot be read ({error}): where it was played is not known"
        return None, (Note("read", why),)
    return environment_of(found, directory.config), ()


def environment_of(metadata: Mapping[str, Any], config: str) -> EnvironmentInfo | None:
    """What a recorder's metadata say; None where they are none. `config` is what was played if no key says it."""
    module = _RECORDER.fullmatch(str(metadata.get("module", "")))
    if module is None or len(metadata) > MAX_ENTRIES:
        return None
    simple = {name: value for name, value in metadata.items() if len(name) <= MAX_TEXT and _is_simple(value)}
    played = next((name for name in _PLAYED if isinstance(simple.get(name), str)), "")
    versions = {name: value for name, value in simple.items() if isinstance(value, str) and _VERSION.fullmatch(value)}
    apart = {"module", "policy", played, *versions}
    return EnvironmentInfo(
        family=module[1].replace("_", "-"),
        id=str(simple.get(played, config[:MAX_TEXT])),
        options={name: value for name, value in sorted(simple.items()) if name not in apart},
        versions=dict(sorted(versions.items())),
        policy=str(simple.get("policy", "")),
    )


def _is_simple(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    if isinstance(value, float):
        return isfinite(value)
    return value is None or (isinstance(value, int) and abs(value) <= _MAX_WHOLE)
