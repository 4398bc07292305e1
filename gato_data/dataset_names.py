"""What a dataset may be called, as TFDS allows it."""

import re
from pathlib import Path

from gato_data.errors import SettingError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")


def dataset_name(out: Path) -> str:
    """The folder's name as TFDS allows it: lower case, digits and underscores, beginning with a letter."""
    name = "".join(c if c.isascii() and c.isalnum() else "_" for c in out.resolve().name.lower()).strip("_")
    return name if name[:1].isalpha() else f"dataset_{name}".rstrip("_")


def check_name(name: str) -> None:
    """Check a name that somebody asks for.

    Raises:
        SettingError: TFDS does not allow it.
    """
    if not _NAME.fullmatch(name):
        raise SettingError(f"name is {name!r}: lower-case letters, digits and underscores after a letter are wanted")
