"""A file of rows, of whatever format: what its columns hold, its parts, and its rows in order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

from gato_pipelines.documents.formats.ranges import file_parts
from gato_pipelines.documents.rows.row import Kind, Row
from gato_pipelines.files.streams import is_compressed, plain_name
from gato_schemas.index import Part

SAMPLED, SAMPLED_BYTES = 1000, 1 << 26
"""Rows of a file without types that tell what its columns hold, and bytes of them."""
_FORMATS = {
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".jsonl": "json_lines",
    ".ndjson": "json_lines",
    ".json": "json_lists",
    ".csv": "csv",
    ".tsv": "csv",
}
_PLAIN_ALONE = (".parquet", ".arrow")


@dataclass(frozen=True, slots=True)
class TableFile:
    """One file.

    Attributes:
        path: of it.
        name: how parts and errors name it.
        window: MiB that it may look back at, if it is compressed.
    """

    path: Path
    name: str
    window: int


class Table(Protocol):
    """The rows of a file."""

    def kinds(self) -> Mapping[str, Kind]:
        """What each column holds, as far as the first rows or the file's types tell.

        Raises:
            EpisodeError: the file cannot be read.
        """

    def parts(self, task: str, columns: Sequence[str], limit: int) -> list[Part]:
        """Pieces of about `limit` bytes that workers share; `count` may be left to `count_rows`."""

    def count_rows(self, part: Part, columns: Sequence[str]) -> int:
        """How many rows, or reasons why they cannot be read, `rows` gives."""

    def rows(self, part: Part, columns: Sequence[str]) -> Iterator[Row]:
        """The rows of a part with these columns, in order; damage is a last row with a reason."""


@dataclass(frozen=True, slots=True)
class PlainTable:
    """What tables have in common whose rows have to be read to be counted, and that one worker reads as a whole."""

    file: TableFile

    def parts(self, task: str, columns: Sequence[str], limit: int) -> list[Part]:
        """The whole file."""
        return file_parts(self.file.path, self.file.name, task, limit, shared=False)


def is_table(name: str) -> bool:
    """Whether a file of that name may hold rows."""
    suffix = Path(plain_name(name)).suffix
    return suffix in _FORMATS and not (suffix in _PLAIN_ALONE and is_compressed(name))


def format_of(name: str) -> str:
    """What a table of that name is called in the account."""
    return _FORMATS[Path(plain_name(name)).suffix].replace("_", " ").replace("json", "JSON")


def open_table(file: TableFile) -> Table:
    """The table of a file that `is_table`."""
    module = import_module(f"gato_pipelines.documents.rows.{_FORMATS[Path(plain_name(file.name)).suffix]}")
    made: Callable[[TableFile], Table] = module.open_table
    return made(file)
