"""Texts out of a column of .csv and .tsv files with a header."""

import csv
from collections.abc import Iterator
from pathlib import Path

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.documents.formats.json_values import BOM, NOT_UTF8, lacking
from gato_pipelines.documents.formats.tsv import is_quoted
from gato_pipelines.documents.texts.passages import MAX_PASSAGE_BYTES, TOO_LONG, read_passages
from gato_pipelines.documents.texts.records import TextRecord, plain_text, to_record
from gato_pipelines.files.streams import open_stream, plain_name
from gato_pipelines.files.unpacking import WINDOW_MIB


class ColumnError(InputError):
    """A file has no column of that name."""


def read_csv(path: Path, name: str, key: str, window: int = WINDOW_MIB) -> Iterator[TextRecord]:
    """The documents in a column; what comes after damage, or a quote that is not closed, is one record with a reason.

    Quotes of a .tsv are part of its texts unless all of them stand where csv puts them.

    Args:
        path: the file.
        name: how errors name it.
        key: the column.
        window: as for `open_stream`.

    Raises:
        ColumnError: the first line does not name the column, or names it twice.
    """
    number = 0
    try:
        rows = csv_lines(path, name, window)
        header = next(rows, None)
        if header is None:
            return
        column = _column(header, name, key)
        for row in rows:
            if row:
                yield _record(f"row {number}", row, column, len(header))
                number += 1
    except csv.Error as error:
        yield TextRecord(f"row {number}", None, csv_fault(error))
    except EpisodeError as error:
        yield TextRecord(f"row {number}", None, str(error))


def csv_fault(error: csv.Error) -> str:
    """Why the rest of a file gives no rows."""
    what = TOO_LONG if "field limit" in str(error) else str(error)
    return f"the rest of the file cannot be read ({what})"


def csv_lines(path: Path, name: str, window: int = WINDOW_MIB) -> Iterator[list[str]]:
    """The fields of every line, that of the columns' names included; bytes that are not UTF-8 are surrogates.

    Raises:
        csv.Error: a quote is not closed, or what it holds is too long, while lines are read.
        EpisodeError: the file is damaged, while lines are read.
    """
    csv.field_size_limit(MAX_PASSAGE_BYTES)
    if not plain_name(name).endswith(".tsv"):
        return csv.reader(_lines(path, window), strict=True)
    with open_stream(path, window=window) as file:
        quoted = is_quoted(file)
    lines = _lines(path, window)
    return csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE, strict=True)


def _lines(path: Path, window: int) -> Iterator[str]:
    for passage in read_passages(path, window=window):
        if passage.data is None:
            raise EpisodeError(passage.reason, stage="read")
        data = passage.data if passage.start else passage.data.removeprefix(BOM)
        yield data.decode(errors="surrogateescape") + "\n"


def _column(header: list[str], name: str, key: str) -> int:
    names = [entry.strip() for entry in header]
    if (times := names.count(key)) == 1:
        return names.index(key)
    if times:
        raise ColumnError(f"the first line of {name} names {key!r} {times} times")
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        wanted = "tabs" if plain_name(name).endswith(".tsv") else "commas"
        what = f"it has {names[0][:60]!r}, columns between {wanted} are wanted"
    else:
        what = lacking(key, names, names, "it")
    raise ColumnError(f"the first line of {name} names no column {key!r}: {what}")


def _record(place: str, row: list[str], column: int, width: int) -> TextRecord:
    if len(row) != width:
        return TextRecord(place, None, f"the row has {len(row)} fields, the first line {width}")
    try:
        return to_record(place, row[column].encode(errors="surrogateescape"), plain_text)
    except UnicodeEncodeError:
        return TextRecord(place, None, NOT_UTF8)
