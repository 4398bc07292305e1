"""Files of the right size without a block on the disk, which stand for those of an address."""

from collections.abc import Mapping
from pathlib import Path

from gato_data.errors import InputError
from gato_data.files import make_placeholder
from gato_data.remote.address import redacted
from gato_pipelines.remote.scratch import roomy


def make_placeholders(address: str, root: Path, sizes: Mapping[str, int]) -> None:
    """A placeholder below `root` for every file of a remote folder.

    Raises:
        InputError: this machine cannot have all of them: a name is too long, or also the name of a
            folder.
        OutputError: its disk is full.
    """
    for name, size in sizes.items():
        path = root / name
        try:
            with roomy():
                path.parent.mkdir(parents=True, exist_ok=True)
                make_placeholder(path, size)
        except OSError as error:
            raise InputError(
                f"{redacted(address)} holds a file {name[:200]!r} that cannot be a file of this machine "
                f"({error.strerror or type(error).__name__}): rename it there, or give another folder"
            ) from error
