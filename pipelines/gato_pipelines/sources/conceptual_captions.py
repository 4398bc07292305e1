"""Conceptual Captions: the .tsv files of CC3M and CC12M with images of one's own, or img2dataset's archives."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from gato_data.errors import EpisodeError, InputError
from gato_data.permutation import Numbers
from gato_pipelines.documents.annotations import find_one
from gato_pipelines.documents.files import root_of
from gato_pipelines.documents.pairs import Pair, PairOrBad
from gato_pipelines.documents.pictures import Pictures, read_first
from gato_pipelines.documents.shuffle import draw
from gato_pipelines.documents.source import bad, family_setting
from gato_pipelines.documents.tables import PairTable, TableSource, beside
from gato_pipelines.documents.tsv import Rows, read_rows
from gato_pipelines.documents.webdataset import IMAGE_SUFFIXES, WebdatasetSource
from gato_pipelines.source import Item, PartScan, setting
from gato_schemas.episode import Text
from gato_schemas.index import Part

_LOOKED_AT = 100


@dataclass(frozen=True)
class RowTable:
    """Rows of captions and links.

    Attributes:
        name: of the file.
        rows: the rows.
        caption: column of the caption, 0 or 1.
        seed: of the shuffle.
        bad: nothing is wrong before a row is read.
    """

    name: str
    rows: Rows
    caption: int
    seed: int
    bad: Sequence[Item] = ()

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def order(self, first: int, count: int) -> Numbers:
        """Rows at these places of the shuffle."""
        return draw(first, count, self.size, self.seed, "rows")

    def pair(self, number: int, pictures: Pictures) -> PairOrBad:
        """One row and its image."""
        try:
            columns = self.rows.columns(number)
        except EpisodeError as error:
            return Item(f"row {number}", 0, error=error)
        if len(columns) != 2:
            return bad(f"row {number}", "the row has not two columns")
        files = tuple(_places(number))
        key = f"row {number}, {files[0]}"
        return Pair(key, str(number), Text(columns[self.caption]), partial(read_first, pictures, files))


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

    def parts(self, folder: Path) -> list[Part]:
        """Runs of rows, or archives."""
        return WebdatasetSource.parts(self, folder) if self._archives(folder) else TableSource.parts(self, folder)

    def scan(self, folder: Path, part: Part) -> PartScan:
        """List an archive; rows are counted already."""
        kind = WebdatasetSource if part.file.lower().endswith(".tar") else TableSource
        return kind.scan(self, folder, part)

    def pairs(self, folder: Path, part: Part) -> Iterator[PairOrBad]:
        """The pairs of a part."""
        kind = WebdatasetSource if part.file.lower().endswith(".tar") else TableSource
        return kind.pairs(self, folder, part)

    def annotation_files(self, folder: Path) -> tuple[Path, ...]:
        """The .tsv file."""
        if self.annotations:
            return (beside(folder, self.annotations),)
        if folder.is_file():
            return (folder,)
        return (find_one(folder, ("*.tsv", "**/*.tsv"), "file of captions and links", "--annotations"),)

    def read_table(self, folder: Path, files: tuple[Path, ...]) -> PairTable:
        """Find the rows."""
        rows = read_rows(files[0])
        return RowTable(files[0].name, rows, self._caption_column(rows), self.seed)

    def _archives(self, folder: Path) -> bool:
        """Whether the input is archives."""
        if self.annotations or folder.suffix == ".tsv":
            return False
        return folder.suffix == ".tar" or (any(root_of(folder).rglob("*.tar")) and not any(folder.rglob("*.tsv")))

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


def _places(row: int) -> Iterator[str]:
    """What the image of a row may be called: its number, counted from 0; in folders as img2dataset makes them."""
    for stem in (f"{row:08d}", f"{row:09d}", f"{row}", f"{row // 10_000:05d}/{row:09d}"):
        for suffix in IMAGE_SUFFIXES:
            yield f"{stem}.{suffix}"
