"""Rows of parquet files, in parts of whole row groups."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.documents.formats.arrow_values import is_text, row_values, size_of_value
from gato_pipelines.documents.formats.json_values import likely
from gato_pipelines.documents.texts.records import TextRecord, plain_text, to_record
from gato_pipelines.files.streams import check_expansion, damaged, import_pyarrow
from gato_pipelines.remote.ranged import open_input, ranged_file
from gato_schemas.index import Part

_BATCH_ROWS, _BATCH_BYTES = 64, 1 << 23
"""A batch has so many rows, and about so many bytes, at most."""
_READ_BYTES = 1 << 20
"""Bytes of a column that are read from the disk at once."""
_PAGE_HEAD, _NEXT_I32 = 16, 0x15
"""Bytes of a page's header that are looked at, and what stands before each of its first fields."""


def read_schema(path: Path) -> Any:
    """The Arrow schema of a file.

    Raises:
        EpisodeError: the file is no parquet, or damaged.
    """
    with _open(path) as file:
        return file.schema_arrow


def row_parts(
    path: Path, name: str, task: str, columns: Sequence[str], limit: int, *, texts: bool = False
) -> list[Part]:
    """Parts of runs of row groups: `first` and `count` are rows, `size` is in uncompressed bytes of the columns.

    A file that cannot be read is one part, which becomes a dead letter.

    Args:
        path: the file.
        name: how the parts name it.
        task: the task of the parts.
        columns: dotted names of those that will be read.
        limit: bytes of a part; a single row group may be larger.
        texts: whether the columns have to hold a text in each row.

    Raises:
        InputError: the file has no such column, or one of another type.
    """
    try:
        file = _open(path)
    except EpisodeError:
        return [Part(name, task, path.stat().st_size, 0, 1)]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    with file:
        _check_columns(file, path, columns, texts=texts)
        metadata = file.metadata
        parts, first, count, size = [], 0, 0, 0
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            bytes_ = sum(chunk.total_uncompressed_size for chunk in _chunks(group, columns))
            if count and size + bytes_ > limit:
                parts.append(Part(name, task, size, first, count))
                first, count, size = first + count, 0, 0
            count, size = count + group.num_rows, size + bytes_
        return [*parts, Part(name, task, size, first, count)] if count else parts


def read_rows(path: Path, part: Part, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and values of the rows of a part; strings stay bytes, so that one bad text does not hide the others.

    Raises:
        EpisodeError: the file cannot be read to the end of the part, or expands beyond all measure.
    """
    pyarrow = import_pyarrow()
    stored, produced = path.stat().st_size, 0
    with _open(path) as file:
        try:
            for first, group in _groups(file.metadata, part):
                for chunk in _chunks(file.metadata.row_group(group), columns):
                    check_expansion(chunk.total_uncompressed_size, chunk.total_compressed_size)
                at_once = _rows_at_once(path, file.metadata, group, columns)
                batches = file.iter_batches(at_once, row_groups=[group], columns=list(columns), use_threads=False)
                rows = (values for batch in batches for values in row_values(batch))
                for row, values in enumerate(rows, first):
                    produced += size_of_value(values)
                    check_expansion(produced, stored)
                    if part.first <= row < part.first + part.count:
                        yield row, values
        except (OSError, pyarrow.ArrowException, ValueError) as error:
            raise damaged(error) from error


def _rows_at_once(path: Path, metadata: Any, group: int, columns: Sequence[str]) -> int:
    """Rows of a row group that are held together: few where they are large, or may all name a large string."""
    chunks = list(_chunks(metadata.row_group(group), columns))
    mean: int = sum(chunk.total_uncompressed_size for chunk in chunks) // max(metadata.row_group(group).num_rows, 1)
    stored_once = sum(_dictionary_bytes(path, chunk) for chunk in chunks)
    return min(max(_BATCH_BYTES // max(mean, stored_once, 1), 1), _BATCH_ROWS)


def _dictionary_bytes(path: Path, chunk: Any) -> int:
    """Bytes of the values that a column chunk stores once and may name in every row.

    They are those of its dictionary page, as the page's header says, a struct in Thrift's compact protocol whose second
    field they are (parquet-format: PageHeader).
    """
    if not chunk.has_dictionary_page:
        return 0
    with open_input(path) as file:
        file.seek(chunk.dictionary_page_offset)
        head = file.read(_PAGE_HEAD)
    fields = iter(head)
    values: list[int] = []
    while len(values) < 2 and next(fields, -1) == _NEXT_I32:
        value = shift = 0
        for byte in fields:
            value, shift = value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                break
        values.append(value >> 1)
    return values[1] if len(values) == 2 else int(chunk.total_uncompressed_size)


def _chunks(group: Any, columns: Sequence[str]) -> Iterator[Any]:
    """The column chunks of a row group that are read."""
    for at in range(group.num_columns):
        chunk = group.column(at)
        if _is_below(chunk.path_in_schema, columns):
            yield chunk


def _groups(metadata: Any, part: Part) -> Iterator[tuple[int, int]]:
    """First row and number of the row groups that hold rows of a part."""
    first = 0
    for number in range(metadata.num_row_groups):
        count = metadata.row_group(number).num_rows
        if first + count > part.first and first < part.first + part.count:
            yield first, number
        first += count


def count_rows(path: Path, part: Part, columns: Sequence[str]) -> int:
    """Rows of a part of `row_parts`, told by its beginning and its size; 1 where the file cannot be read."""
    try:
        file = _open(path)
    except EpisodeError:
        return 1
    with file:
        first = count = size = 0
        for number in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(number)
            if first >= part.first and size < part.size:
                size += sum(chunk.total_uncompressed_size for chunk in _chunks(group, columns))
                count += group.num_rows
            first += group.num_rows
    return count


def read_texts(path: Path, part: Part, key: str) -> Iterator[TextRecord]:
    """The documents in a text column; `key` is dotted."""
    names, row = key.split("."), part.first
    try:
        for row, values in read_rows(path, part, [key]):
            value: Any = values
            for name in names:
                value = value.get(name) if isinstance(value, dict) else None
            yield _record(f"row {row}", value, key)
            row += 1
    except EpisodeError as error:
        yield TextRecord(f"row {row}", None, str(error), lost=max(part.first + part.count - row, 1))


def _record(place: str, value: Any, key: str) -> TextRecord:
    if not isinstance(value, bytes):
        return TextRecord(place, None, f"there is no text under {key!r}")
    return to_record(place, value, plain_text)


def _open(path: Path) -> Any:
    pyarrow = import_pyarrow()
    try:
        source = ranged_file(path) or path
        return pyarrow.parquet.ParquetFile(source, pre_buffer=False, memory_map=False, buffer_size=_READ_BYTES)
    except (OSError, pyarrow.ArrowException, ValueError) as error:
        raise damaged(error) from error


def _check_columns(file: Any, path: Path, columns: Sequence[str], *, texts: bool) -> None:
    leaves = [file.schema.column(number).path for number in range(len(file.schema))]
    for column in columns:
        if not any(_is_below(leaf, [column]) for leaf in leaves):
            named = ", ".join(leaves[:20]) or "none"
            hint = likely(column, [leaf for leaf in leaves if is_text(_type_of(file.schema_arrow, leaf))])
            raise InputError(f"{path} has no column {column!r}: it has {named}{hint}")
        kind = _type_of(file.schema_arrow, column)
        if texts and not is_text(kind):
            others = [leaf for leaf in leaves if is_text(_type_of(file.schema_arrow, leaf))]
            named = f"those of text are {', '.join(others[:20])}" if others else "the file has none"
            raise InputError(
                f"column {column!r} of {path} is of type {kind}, and a text is wanted (string or binary, "
                f"also large, view, of fixed size or dictionary): {named}"
            )


def _type_of(schema: Any, column: str) -> Any:
    """The Arrow type of a dotted column, None where no column is named so."""
    types = import_pyarrow().types
    kind = import_pyarrow().struct(schema)
    for name in column.split("."):
        at = kind.get_field_index(name) if types.is_struct(kind) else -1
        if at < 0:
            return None
        kind = kind.field(at).type
    return kind


def _is_below(leaf: str, columns: Sequence[str]) -> bool:
    return any(leaf == column or leaf.startswith(column + ".") for column in columns)
