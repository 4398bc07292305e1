"""Links in a folder that is written to: a name in it could lead a write anywhere."""

import os
from pathlib import Path

from gato_data.errors import OutputError


def refuse_links(folder: Path) -> None:
    """Refuse a folder that holds a symbolic link, at any depth; the folder itself may be one.

    Raises:
        OutputError: there is one; it is named.
    """
    for parent, folders, files in os.walk(folder):
        for name in sorted(folders + files):
            path = Path(parent, name)
            if path.is_symlink():
                raise OutputError(
                    f"{path} is a link, and nothing is written through links: put the file itself there, or remove it"
                )
