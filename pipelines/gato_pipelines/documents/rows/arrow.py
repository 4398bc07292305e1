"""Tables in Arrow's stream or file format, as `save_to_disk` and the caches of the Hub's library hold them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gato_data.errors import EpisodeError
from gato_pipelines.documents.formats.arrow_messages import check_plain
from gato_pipelines.documents.formats.arrow_values import row_values, size_of_value
from gato_pipelines.documents.rows.arrow_kinds import kinds_of_schema
from gato_pipelines.documents.rows.row import Kind, Row
from gato_pipelines.documents.rows.table import PlainTable
from gato_pipelines.files.streams import check_expansion, damaged, import_pyarrow
from gato_schemas.index import Part

_FILE_MAGIC = b"ARROW1"
_FILE_HEAD = 8
"""Bytes before the first message of the file format."""
_BATCH_ROWS, _BATCH_BYTES = 64, 1 << 25


@dataclass(frozen=True, slots=True)
class ArrowTable(PlainTable):
    """The rows of an Arrow file."""

    def kinds(self) -> Mapping[str, Kind]:
        """By the types of the columns."""
        with self._opened() as reader, _reading():
            return kinds_of_schema(reader.schema)

    def count_rows(self, part: Part, columns: Sequence[str]) -> int:
        """Told by the batches, whose values are not looked at; damage counts as a row."""
        count = 0
        try:
            with self._opened() as reader:
                for batch in _batches(reader):
                    count += batch.num_rows
        except EpisodeError:
            count += 1
        return count

    def rows(self, part: Part, columns: Sequence[str]) -> Iterator[Row]:
        """The rows of all batches."""
        row = 0
        try:
            with self._opened() as reader:
                for values in self._values(reader, columns):
                    yield Row(f"row {row}", values)
                    row += 1
        except EpisodeError as error:
            yield Row(f"row {row}", {}, str(error))

    def _values(self, reader: Any, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The rows, a few at once; every batch is checked before any offset in it is followed."""
        stored, produced = self.file.path.stat().st_size, 0
        with _reading():
            tops = list(dict.fromkeys(_column(reader.schema, name) for name in columns))
        for whole in _batches(reader):
            with _reading():
                batch = whole.select(tops)
                batch.validate(full=True)
                step = min(max(_BATCH_BYTES * max(batch.num_rows, 1) // max(batch.nbytes, 1), 1), _BATCH_ROWS)
            for first in range(0, batch.num_rows, step):
                with _reading():
                    rows = row_values(batch.slice(first, step))
                for values in rows:
                    produced += size_of_value(values)
                    check_expansion(produced, stored)
                    yield values

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """A reader of the stream or the file, whose bytes are mapped and not copied."""
        pyarrow = import_pyarrow()
        with self.file.path.open("rb") as head:
            is_file = head.read(len(_FILE_MAGIC)) == _FILE_MAGIC
        with _reading():
            mapped = pyarrow.memory_map(str(self.file.path))
        with mapped:
            with _reading():
                mapped.seek(_FILE_HEAD if is_file else 0)
                check_plain(mapped)
                mapped.seek(0)
                reader = (pyarrow.ipc.open_file if is_file else pyarrow.ipc.open_stream)(mapped)
            yield reader


def _batches(reader: Any) -> Iterator[Any]:
    if hasattr(reader, "num_record_batches"):
        for number in range(reader.num_record_batches):
            with _reading():
                batch = reader.get_batch(number)
            yield batch
        return
    while True:
        with _reading():
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
        yield batch


def _column(schema: Any, name: str) -> str:
    """The column that holds a dotted name."""
    return name if name in schema.names else name.partition(".")[0]


@contextmanager
def _reading() -> Iterator[None]:
    """Whatever pyarrow raises in here means that the file is damaged."""
    try:
        yield
    except (import_pyarrow().ArrowException, OSError, ValueError, KeyError) as error:
        raise damaged(error) from error


open_table = ArrowTable
