"""Rows of parquet files with bounded memory: a few bytes can stand for billions of equal values."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gato_pipelines.files.streams import import_pyarrow
from gato_pipelines.remote.ranged import ranged_file

MAX_TABLE_BYTES = 1 << 32
"""Bytes of the rows that are held together."""
_ROWS_AT_ONCE = 256


def read_table(path: Path, columns: Sequence[str] | None = None, row_groups: Sequence[int] | None = None) -> Any:
    """The rows of a file, or of some of its row groups, as a pyarrow.Table.

    Args:
        path: the file.
        columns: those wanted; None for all.
        row_groups: numbers of those wanted; None for all.

    Raises:
        ValueError: a column is missing, or the rows take more than `MAX_TABLE_BYTES`.
        pyarrow.ArrowException, OSError: the file cannot be read.
    """
    with open_parquet(path) as file:
        return read_groups(file, columns, row_groups)


def open_parquet(path: Path) -> Any:
    """A file, open, or that which a placeholder stands for; raises as `read_table`."""
    return import_pyarrow().parquet.ParquetFile(ranged_file(path) or path)


def read_groups(file: Any, columns: Sequence[str] | None = None, row_groups: Sequence[int] | None = None) -> Any:
    """The same of an open file."""
    pyarrow = import_pyarrow()
    present = file.schema_arrow.names
    if missing := [name for name in columns or () if name not in present]:
        raise ValueError(f"it has no column {missing[0]}, but {', '.join(present)}")
    wanted = {} if row_groups is None else {"row_groups": list(row_groups)}
    batches, size = [], 0
    for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns, use_threads=False, **wanted):
        size += batch.nbytes
        if size > MAX_TABLE_BYTES:
            raise ValueError(f"its rows take more than {MAX_TABLE_BYTES} bytes")
        batches.append(batch)
    schema = file.schema_arrow if columns is None else pyarrow.schema([file.schema_arrow.field(n) for n in columns])
    return pyarrow.Table.from_batches(batches, batches[0].schema if batches else schema)
