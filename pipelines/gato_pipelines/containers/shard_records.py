"""The records of a shard in any file format of TFDS: the same bytes, an episode each, whatever they are stored in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from gato_data.errors import MissingPackageError
from gato_pipelines.containers.tfds_library import import_tfds
from gato_pipelines.remote.ranged import ranged_file
from gato_pipelines.remote.scratch import roomy, scratch_around
from gato_pipelines.rlds.directory import FILE_FORMAT
from gato_schemas.tfrecord import RawRecord, TFRecordError, count_records, read_records

ARRAY_RECORD, PARQUET = "array_record", "parquet"
FILE_FORMATS = (FILE_FORMAT, ARRAY_RECORD, PARQUET)
"""File formats whose records are read here, the fastest first."""
TFDS_FORMATS = ("riegeli", "bagz")
"""File formats for whose records TFDS is asked."""

_COLUMN = "data"
"""The one column of TFDS's parquet files: whole records."""
_PARQUET_BUFFER = 1 << 20
"""Bytes of a parquet file that are read at a time, so that a group of rows is never held whole."""

Reader: TypeAlias = Callable[[Path, int, int | None], Iterator[RawRecord]]


def read_shard(path: Path, file_format: str, first: int = 0, count: int | None = None) -> Iterator[RawRecord]:
    """Records [first, first + count) of a shard in order; one is held at a time.

    Raises:
        TFRecordError: it is damaged, or ends before; every whole record before that place has been
            yielded.
        OSError: it cannot be opened.
        MissingPackageError: a package that the file format needs is not installed.
    """
    if file_format in TFDS_FORMATS:
        return _read_with_tfds(path, file_format, first, count)
    readers: dict[str, Reader] = {ARRAY_RECORD: _read_array_records, PARQUET: _read_parquet}
    return readers.get(file_format, read_records)(path, first, count)


def num_records(path: Path, file_format: str) -> int | None:
    """How many records a shard holds; None where it is damaged.

    Raises:
        OSError: it cannot be opened.
        MissingPackageError: a package that the file format needs is not installed.
    """
    path.stat()
    try:
        with _whole(path) as here:
            return _num_records(here, file_format)
    except (TFRecordError, OSError, RuntimeError, ValueError, IndexError):
        return None


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A shard, or a copy of what a placeholder stands for."""
    there = ranged_file(path)
    if there is None:
        yield path
        return
    with TemporaryDirectory(dir=scratch_around(path)) as folder:
        with roomy(), (Path(folder) / path.name).open("wb") as copy:
            copyfileobj(there, copy)
        yield Path(folder) / path.name


def _num_records(path: Path, file_format: str) -> int:
    if file_format == PARQUET:
        with _parquet(path) as opened:
            return int(opened.metadata.num_rows)
    if file_format == ARRAY_RECORD:
        return int(_array_reader(path).num_records())
    if file_format in TFDS_FORMATS:
        return sum(1 for _ in _read_with_tfds(path, file_format, 0, None))
    return count_records(path)


def _read_parquet(path: Path, first: int, count: int | None) -> Iterator[RawRecord]:
    from pyarrow import ArrowException

    path.stat()  # what cannot be opened is another matter than damage
    ordinal, stop = 0, None if count is None else first + count
    try:
        with _parquet(path) as opened:
            if opened.schema_arrow.names != [_COLUMN]:
                raise TFRecordError(f"{path.name} holds no column {_COLUMN!r}: it is no parquet file of TFDS")
            for group in range(opened.num_row_groups):
                rows = opened.metadata.row_group(group).num_rows
                if ordinal + rows <= first:
                    ordinal += rows
                    continue
                for batch in opened.iter_batches(batch_size=1, row_groups=[group]):
                    if ordinal >= first:
                        yield RawRecord(ordinal, 0, batch.column(0)[0].as_py() or b"")
                    ordinal += 1
                    if ordinal == stop:
                        return
    except (ArrowException, OSError, ValueError) as error:
        raise TFRecordError(f"{path.name} is damaged at record {ordinal}", ordinal) from error
    _check_end(path, ordinal, stop)


def _parquet(path: Path) -> Any:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingPackageError('parquet files need pyarrow: pip install "gato-data[ingest]"') from error
    return ParquetFile(path, buffer_size=_PARQUET_BUFFER)


def _read_array_records(path: Path, first: int, count: int | None) -> Iterator[RawRecord]:
    ordinal, stop = first, None if count is None else first + count
    try:
        reader = _array_reader(path)
        stored = reader.num_records()
        for ordinal in range(first, stored if stop is None else min(stop, stored)):
            yield RawRecord(ordinal, 0, reader.read([ordinal])[0])
        reader.close()
    except (RuntimeError, ValueError, IndexError) as error:
        raise TFRecordError(f"{path.name} is damaged at record {ordinal}", ordinal) from error
    _check_end(path, stored, stop)


def _array_reader(path: Path) -> Any:
    try:
        from array_record.python.array_record_module import ArrayRecordReader
    except ImportError as error:
        raise MissingPackageError(f"{path.name} needs array_record: pip install array_record") from error
    return ArrayRecordReader(str(path))


def _read_with_tfds(path: Path, file_format: str, first: int, count: int | None) -> Iterator[RawRecord]:
    adapters = import_tfds().core.file_adapters
    import tensorflow as tf

    ordinal, stop = first, None if count is None else first + count
    try:
        adapter = adapters.ADAPTER_FOR_FORMAT[adapters.FileFormat(file_format)]
        stored = adapter.make_tf_data(str(path)).skip(first).take(-1 if count is None else count)
        for record in stored.as_numpy_iterator():
            yield RawRecord(ordinal, 0, record)
            ordinal += 1
    except (ImportError, KeyError, ValueError) as error:
        needed = f"needs {error.name}: install it" if isinstance(error, ImportError) else "is too old: install a newer"
        raise MissingPackageError(
            f"{path.name} is stored as {file_format}, for which TFDS {needed}, or convert the dataset with "
            "`tfds convert_format`"
        ) from error
    except tf.errors.OpError as error:
        raise TFRecordError(f"{path.name} is damaged at record {ordinal}", ordinal) from error
    _check_end(path, ordinal, stop)


def _check_end(path: Path, found: int, stop: int | None) -> None:
    if stop is not None and found < stop:
        raise TFRecordError(f"{path.name} ends after {found} of {stop} records", found)
