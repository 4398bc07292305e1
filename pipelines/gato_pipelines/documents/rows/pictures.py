"""The pictures of a row: bytes inside the table, or names of files; nothing is ever fetched."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from gato_data.errors import EpisodeError
from gato_pipelines.documents.image_files import ImageFiles, read_first
from gato_pipelines.documents.pages import MAX_IMAGES, PageImage
from gato_pipelines.documents.rows.row import text_of, value_at

ADDRESS = "the picture is an address, and nothing is ever fetched"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_MAX_NAME = 4096
EMBEDDED = "embedded"
"""What a picture without a name is called."""


def pictures_of(values: Mapping[str, Any], columns: Sequence[str], file: str) -> list[PageImage]:
    """The pictures in some columns of a row, in order; nulls and empty names are none.

    Args:
        values: of the row.
        columns: that hold pictures.
        file: name of the table, beside which pictures may lie.

    Raises:
        EpisodeError: there are more than a document may have.
    """
    found = [picture for name in columns for picture in _pictures(value_at(values, name), file)]
    if len(found) > MAX_IMAGES:
        raise EpisodeError(f"the row has more than {MAX_IMAGES} pictures", stage="read")
    return found


def _pictures(value: Any, file: str) -> Iterator[PageImage]:
    for entry in value if isinstance(value, list) else [value]:
        if (found := picture_of(entry, file)) is not None:
            yield found


def picture_of(value: Any, file: str) -> PageImage | None:
    """One picture: bytes, a name, or a struct of both of which the bytes count; None where it is null."""
    if isinstance(value, dict):
        data, path = value.get("bytes"), value.get("path")
        if isinstance(data, bytes):
            name = path.decode(errors="replace") if isinstance(path, bytes) else path
            return PageImage(name if isinstance(name, str) and name else EMBEDDED, lambda images: data)
        value = path
    if isinstance(value, bytes) and (len(value) > _MAX_NAME or b"\0" in value):
        return PageImage(EMBEDDED, lambda images: value)
    if not isinstance(value, bytes | str | None):
        raise EpisodeError("the picture is neither bytes nor the name of a file", stage="read")
    name = text_of(value, "picture's name")
    return PageImage(name[:_MAX_NAME], lambda images: _read(images, name, file)) if name else None


def _read(images: ImageFiles, name: str, file: str) -> bytes:
    """A picture by its name: as it stands, beside the table, or in a folder `images`.

    Raises:
        EpisodeError: there is none, it leads out of the folder, or it is an address.
    """
    if _ADDRESS.match(name):
        raise EpisodeError(ADDRESS, stage="read")
    if len(name) > _MAX_NAME:
        raise EpisodeError(f"the picture's name is longer than {_MAX_NAME} characters", stage="read")
    folder = PurePosixPath(file).parent.as_posix()
    beside = [] if folder == "." else [f"{folder}/{name}"]
    return read_first(images, [*beside, name, f"images/{name}"])
