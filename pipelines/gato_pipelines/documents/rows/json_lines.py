"""Tables in JSON lines, such as the `metadata.jsonl` of an image folder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gato_pipelines.documents.formats.ranges import file_parts
from gato_pipelines.documents.rows.json_rows import json_kinds, json_rows
from gato_pipelines.documents.rows.row import Kind, Row
from gato_pipelines.documents.rows.table import TableFile
from gato_pipelines.documents.texts.records import filled_lines
from gato_schemas.index import Part


@dataclass(frozen=True, slots=True)
class LineTable:
    """The lines of a file, an object each."""

    file: TableFile

    def kinds(self) -> Mapping[str, Kind]:
        """By the values in the first lines."""
        part = Part(self.file.name, "", self.file.path.stat().st_size)
        return json_kinds(filled_lines(self.file.path, part, self.file.window))

    def parts(self, task: str, columns: Sequence[str], limit: int) -> list[Part]:
        """Ranges of bytes."""
        return file_parts(self.file.path, self.file.name, task, limit)

    def count_rows(self, part: Part, columns: Sequence[str]) -> int:
        """Lines that are not blank."""
        return sum(1 for _ in filled_lines(self.file.path, part, self.file.window))

    def rows(self, part: Part, columns: Sequence[str]) -> Iterator[Row]:
        """The lines that begin in the range."""
        return json_rows(filled_lines(self.file.path, part, self.file.window), columns)


open_table = LineTable
