"""Tables in parquet, as `push_to_hub` writes them: pictures are structs of bytes and path."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gato_data.errors import EpisodeError
from gato_pipelines.documents.rows.arrow_kinds import kinds_of_schema
from gato_pipelines.documents.rows.row import Kind, Row
from gato_pipelines.documents.rows.table import TableFile
from gato_pipelines.documents.texts.rows import count_rows, read_rows, read_schema, row_parts
from gato_schemas.index import Part


@dataclass(frozen=True, slots=True)
class ParquetTable:
    """The rows of a parquet file."""

    file: TableFile

    def kinds(self) -> Mapping[str, Kind]:
        """By the types of the columns."""
        try:
            return kinds_of_schema(read_schema(self.file.path))
        except UnicodeDecodeError as error:
            raise EpisodeError(f"the names of the columns are not UTF-8 ({error.reason})", stage="read") from error

    def parts(self, task: str, columns: Sequence[str], limit: int) -> list[Part]:
        """Runs of row groups."""
        return row_parts(self.file.path, self.file.name, task, columns, limit)

    def count_rows(self, part: Part, columns: Sequence[str]) -> int:
        """Told by the footer."""
        return count_rows(self.file.path, part, columns)

    def rows(self, part: Part, columns: Sequence[str]) -> Iterator[Row]:
        """The rows of these row groups."""
        row, count = part.first, self.count_rows(part, columns)
        try:
            for row, values in read_rows(self.file.path, Part(part.file, part.task, 0, part.first, count), columns):
                yield Row(f"row {row}", values)
                row += 1
        except EpisodeError as error:
            yield Row(f"row {row}", {}, str(error), lost=max(part.first + count - row, 1))


open_table = ParquetTable
