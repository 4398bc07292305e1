"""Tables in `.json` files: one list of objects, as LLaVA's; else JSON lines under another suffix."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gato_pipelines.documents.formats.json_lists import is_json_list, list_entries
from gato_pipelines.documents.formats.ranges import file_parts
from gato_pipelines.documents.rows.json_lines import LineTable
from gato_pipelines.documents.rows.json_rows import json_kinds, json_rows
from gato_pipelines.documents.rows.row import Kind, Row
from gato_pipelines.documents.rows.table import Table, TableFile
from gato_pipelines.documents.texts.passages import Passage
from gato_pipelines.files.streams import is_compressed
from gato_schemas.index import Part


@dataclass(frozen=True, slots=True)
class ListTable:
    """The entries of a file that is one list."""

    file: TableFile

    def kinds(self) -> Mapping[str, Kind]:
        """By the values in the first entries."""
        return json_kinds(list_entries(self.file.path, window=self.file.window))

    def parts(self, task: str, columns: Sequence[str], limit: int) -> list[Part]:
        """Ranges of bytes that begin with an entry."""
        size = self.file.path.stat().st_size
        if is_compressed(self.file.name) or size <= limit:
            return file_parts(self.file.path, self.file.name, task, limit, shared=False)
        starts = [0]
        for entry in list_entries(self.file.path):
            if entry.start >= starts[-1] + limit:
                starts.append(entry.start)
        stops = [*starts[1:], size]
        return [Part(self.file.name, task, stop - first, first) for first, stop in zip(starts, stops, strict=True)]

    def count_rows(self, part: Part, columns: Sequence[str]) -> int:
        """Entries, and what is none."""
        return sum(1 for _ in self._entries(part))

    def rows(self, part: Part, columns: Sequence[str]) -> Iterator[Row]:
        """The entries that begin in the range."""
        return json_rows(self._entries(part), columns)

    def _entries(self, part: Part) -> Iterator[Passage]:
        size = None if is_compressed(self.file.name) else part.size
        return list_entries(self.file.path, part.first, size, self.file.window)


def open_table(file: TableFile) -> Table:
    """A list where the file begins as one, else lines."""
    return ListTable(file) if is_json_list(file.path, file.window) else LineTable(file)
