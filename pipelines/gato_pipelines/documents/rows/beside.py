"""Pictures with a text beside each, as img2dataset writes them into folders: `0012.jpg`, `0012.txt`, `0012.json`."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gato_data.errors import EpisodeError
from gato_pipelines.documents.image_files import IMAGE_SUFFIXES
from gato_pipelines.documents.pairs.captions import MAX_CAPTION_BYTES, json_caption, plain_caption
from gato_pipelines.documents.rows.row import Row

PICTURE, TEXT = "picture", "text"
"""Columns of the rows."""
_TEXT_SUFFIXES = ("txt", "json")


@dataclass(frozen=True, slots=True)
class Captioned:
    """A picture and the file with its text, by their names."""

    picture: str
    text: str


def captioned(names: Sequence[str]) -> list[Captioned]:
    """The pictures beside which a text lies, sorted; a .txt is taken before a .json."""
    known, stems, found = set(names), set(), []
    for name in sorted(names):
        stem, suffix = _split(name)
        if suffix not in IMAGE_SUFFIXES or stem in stems:
            continue
        text = next((f"{stem}.{kind}" for kind in _TEXT_SUFFIXES if f"{stem}.{kind}" in known), "")
        if text:
            stems.add(stem)
            found.append(Captioned(name, text))
    return found


def is_picture(name: str) -> bool:
    """Whether a file is a picture, by its name."""
    return _split(name)[1] in IMAGE_SUFFIXES


def texts_beside(names: Sequence[str]) -> set[str]:
    """The names of files that hold something about one picture."""
    stems = {_split(name)[0] for name in names if is_picture(name)}
    return {name for name in names if _split(name)[1] in _TEXT_SUFFIXES and _split(name)[0] in stems}


def captioned_rows(root: Path, files: Sequence[Captioned], key: str) -> Iterator[Row]:
    """A row of every picture; `key` is of a caption in a .json."""
    for file in files:
        name = PurePosixPath(file.picture).with_suffix("").as_posix()
        try:
            data = _content(root / file.text)
            text, notes = (plain_caption(data), ()) if file.text.endswith("txt") else json_caption(data, key)
        except EpisodeError as error:
            yield Row(name, {}, str(error))
            continue
        yield Row(name, {PICTURE: file.picture, TEXT: text}, notes=notes)


def _content(path: Path) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        return file.read(MAX_CAPTION_BYTES + 1)


def _split(name: str) -> tuple[str, str]:
    stem, _, suffix = name.rpartition(".")
    return stem, suffix.lower()
