"""Tables in `.csv` and `.tsv` with a header, such as the `metadata.csv` of an image folder."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gato_data.errors import EpisodeError
from gato_pipelines.documents.rows.row import Kind, Row, kind_of_text
from gato_pipelines.documents.rows.table import PlainTable, TableFile
from gato_pipelines.documents.texts.columns import csv_fault, csv_lines
from gato_schemas.index import Part


@dataclass(frozen=True, slots=True)
class CsvTable(PlainTable):
    """The rows behind the line that names the columns."""

    def kinds(self) -> Mapping[str, Kind]:
        """By their names."""
        try:
            header = next(csv_lines(self.file.path, self.file.name, self.file.window), [])
        except csv.Error as error:
            raise EpisodeError(csv_fault(error), stage="read") from error
        return {name.strip(): kind_of_text(name.strip()) for name in header if name.strip()}

    def count_rows(self, part: Part, columns: Sequence[str]) -> int:
        """Rows, and why there are no more."""
        return sum(1 for _ in self.rows(part, columns))

    def rows(self, part: Part, columns: Sequence[str]) -> Iterator[Row]:
        """All rows; blank lines are none."""
        number = 0
        try:
            lines = csv_lines(self.file.path, self.file.name, self.file.window)
            header = [name.strip() for name in next(lines, [])]
            for line in filter(None, lines):
                if len(line) == len(header):
                    yield Row(
                        f"row {number}", {k: v or None for k, v in zip(header, line, strict=True) if k in columns}
                    )
                else:
                    reason = f"the row has {len(line)} fields, the first line {len(header)}"
                    yield Row(f"row {number}", {}, reason)
                number += 1
        except csv.Error as error:
            yield Row(f"row {number}", {}, csv_fault(error))
        except EpisodeError as error:
            yield Row(f"row {number}", {}, str(error))


def open_table(file: TableFile) -> CsvTable:
    """The table of a file."""
    return CsvTable(file)
