"""Conceptual Captions: the .tsv files of CC3M and CC12M with images of one's own, or img2dataset's archives."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from gato_data.errors import EpisodeError, InputError
from gato_data.permutation import Numbers
from gato_pipelines.documents.formats.annotations import find_one
from gato_pipelines.documents.formats.tars import is_tar
from gato_pipelines.documents.formats.tsv import Quoting, Rows, open_rows
from gato_pipelines.documents.image_files import IMAGE_SUFFIXES, ImageFiles, find_first
from gato_pipelines.documents.pairs.captions import json_caption, plain_caption
from gato_pipelines.documents.pairs.shuffle import draw
from gato_pipelines.documents.pairs.source import Pair, PairOrBad
from gato_pipelines.documents.pairs.tables import PairTable, TableSource, beside
from gato_pipelines.documents.pairs.webdataset import WebdatasetSource
from gato_pipelines.documents.source import bad, family_setting
from gato_pipelines.files.passed_over import PassedOver
from gato_pipelines.files.streams import is_compressed
from gato_pipelines.source import Item, PartScan, setting
from gato_schemas.account import Note
from gato_schemas.episode import Text
from gato_schemas.index import Part

_LOOKED_AT = 100
_NAME = re.compile(r"(?!www\.)[^\W\d][\w .:()-]{0,39}(?<!\.(?:jpg|png|gif))")
_NOTHING = ("nan", "none", "null", "na", "n.a.", "missing")
"""What writers of tables put where a link is missing."""


@dataclass(frozen=True)
class RowTable:
    """Rows of captions and links.

    Attributes:
        name: of the file.
        rows: the rows, without a header.
        header: the names of the columns, where the first row of the file holds them.
        caption: column of the caption, 0 or 1.
        caption_key: of the captions in .json files beside images.
        seed: of the shuffle.
        bad: nothing is wrong before a row is read.
    """

    name: str
    rows: Rows
    header: Sequence[str]
    caption: int
    caption_key: str
    seed: int
    bad: Sequence[Item] = ()

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def order(self, first: int, count: int) -> Numbers:
        """Rows at these places of the shuffle."""
        return draw(first, count, self.size, self.seed, "rows")

    def pair(self, number: int, image_files: ImageFiles) -> PairOrBad:
        """One row and its image."""
        try:
            columns = self.rows.columns(number)
        except EpisodeError as error:
            return Item(f"row {number}", 0, error=error)
        if len(columns) != 2:
            return bad(f"row {number}", "the row has not two columns")
        files, caption = tuple(_places(number)), columns[self.caption]
        load = partial(_read_image, image_files, files, caption, self.caption_key)
        return Pair(f"row {number}, {files[0]}", str(number), Text(caption), load)

    def notes(self) -> list[Note]:
        """How the file was read, where it could be read in another way."""
        found = []
        if self.header:
            names = ", ".join(self.header)
            found.append(
                Note("read", f"the first row of {self.name} is its header ({names}): rows are counted behind it")
            )
        if self.rows.blank:
            found.append(Note("read", f"blank lines of {self.name} are not counted as rows", self.rows.blank))
        if self.rows.is_quoted:
            found.append(Note("read", f"{self.name} has columns in quotes, as csv files do: the quotes are no text"))
        return found


def _read_image(image_files: ImageFiles, files: Sequence[str], caption: str, key: str) -> bytes:
    """The image of a row; a text that was downloaded with it has to be the row's, or one of the two is another's."""
    name, data = find_first(image_files, files)
    stem = name.rpartition(".")[0]
    if (text := image_files.read(f"{stem}.txt")) is not None:
        beside = plain_caption(text)
    elif (text := image_files.read(f"{stem}.json")) is not None:
        beside = json_caption(text, key)[0]
    else:
        return data
    if beside.split() != caption.split():
        raise EpisodeError("the text beside the image is not that of its row: are rows counted right?", stage="read")
    return data


@dataclass(frozen=True)
class Source(TableSource, WebdatasetSource):
    """Conceptual Captions (CC3M, CC12M): images from the web with cleaned alt texts."""

    licence: ClassVar[str] = "captions may be used freely (Google); images belong to their owners"
    formats: ClassVar[str] = ".tsv of CC3M or CC12M; webdataset .tar"
    tokens_per_timestep: ClassVar[str] = "144 an image of 192x192, then its caption"
    example: ClassVar[str] = "gato-data ingest conceptual-captions Train_GCC-training.tsv --images images --out cc3m"
    read_by_part: ClassVar[str] = ""  # an archive may hold the images of a table

    family: str = family_setting("conceptual-captions")
    annotations: str = setting("", "The .tsv file; by default the only one in INPUT.", "FILE")
    columns: Literal["auto", "caption-url", "url-caption"] = setting(
        "auto", "Order of the columns: CC3M has the caption first, CC12M the link."
    )
    quoting: Quoting = setting(
        "auto", "Quotes around columns are csv's, or part of the text; by default as they stand."
    )

    def parts(self, folder: Path) -> list[Part]:
        """Runs of rows, or archives."""
        return WebdatasetSource.parts(self, folder) if self._archives(folder) else TableSource.parts(self, folder)

    def notes(self, folder: Path) -> list[Note]:
        """How the table is read, and what lies beside it or beside the archives."""
        if self._archives(folder):
            return WebdatasetSource.notes(self, folder)
        table = self._table(folder)
        assert isinstance(table, RowTable)
        archives = PassedOver()
        for name in sorted(_tars(folder)):
            archives.add(name)
        return [*table.notes(), *TableSource.notes(self, folder), *archives.notes()]

    def scan(self, folder: Path, part: Part) -> PartScan:
        """List an archive; rows are counted already."""
        return (WebdatasetSource if is_tar(part.file) else TableSource).scan(self, folder, part)

    def pairs(self, folder: Path, part: Part) -> Iterator[PairOrBad]:
        """The pairs of a part."""
        return (WebdatasetSource if is_tar(part.file) else TableSource).pairs(self, folder, part)

    def annotation_files(self, folder: Path) -> tuple[Path, ...]:
        """The .tsv file."""
        if self.annotations:
            return (beside(folder, self.annotations),)
        if folder.is_file():
            return (folder,)
        return (find_one(folder, ("*.tsv", "**/*.tsv"), "file of captions and links", "--annotations"),)

    def read_table(self, folder: Path, files: tuple[Path, ...]) -> PairTable:
        """Find the rows."""
        if is_compressed(files[0].name):
            raise InputError(f"{files[0]} is compressed, and its rows are looked up by number: unpack it first")
        rows = open_rows(files[0], self.quoting)
        caption = self._caption_column(rows)
        header = _header(list(rows.head(_LOOKED_AT)), 1 - caption)
        rows = rows.without_first() if header else rows
        return RowTable(files[0].name, rows, header, caption, self.caption_key, self.seed)

    def _archives(self, folder: Path) -> bool:
        """Whether the input is archives: they hold captions of their own, so a table beside them is not needed."""
        if self.annotations or folder.suffix == ".tsv":
            return False
        if folder.is_file():
            return is_tar(folder.name)
        if not any(_tars(folder)):
            return False
        if not any(folder.rglob("*.tsv")):
            return True
        return not self.images and not self._shows_images(folder)

    def _shows_images(self, folder: Path) -> bool:
        """Whether images of the first rows lie in a folder as files."""
        return any((folder / name).is_file() for row in range(_LOOKED_AT) for name in _places(row))

    def _caption_column(self, rows: Rows) -> int:
        if self.columns != "auto":
            return 0 if self.columns == "caption-url" else 1
        links = [0, 0]
        for columns in rows.head(_LOOKED_AT):
            for number, value in enumerate(columns[:2]):
                links[number] += value.startswith(("http://", "https://"))
        if len(rows) and links[0] == links[1]:
            raise InputError(f"{rows.path} does not show which column holds links: say so with --columns")
        return 1 if links[0] > links[1] else 0


def _tars(folder: Path) -> Iterator[str]:
    """Names of the archives below a folder."""
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*") if is_tar(path.name))


def _header(rows: Sequence[Sequence[str]], link: int) -> Sequence[str]:
    """The first row, if it names the columns: where others have a link it has a word; else nothing."""
    first = rows[0] if rows else []
    if len(first) != 2 or first[link].lower() in _NOTHING or not _NAME.fullmatch(first[link]):
        return []
    return first if any(len(row) == 2 and "://" in row[link] for row in rows[1:]) else []


def _places(row: int) -> Iterator[str]:
    """What the image of a row may be called: its number, counted from 0; in folders as img2dataset makes them."""
    for stem in (f"{row:08d}", f"{row:09d}", f"{row}", f"{row // 10_000:05d}/{row:09d}"):
        for suffix in IMAGE_SUFFIXES:
            yield f"{stem}.{suffix}"
