"""Texts one by one out of txt, JSON lines, parquet and TFRecord files, whole or in ranges."""

import codecs
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from gato_data.errors import EpisodeError
from gato_pipelines.documents.formats.json_values import BOM, NOT_UTF8, Decode, lacking
from gato_pipelines.documents.texts.passages import MAX_PASSAGE_BYTES, TOO_LONG, Passage, read_passages, split_passages
from gato_pipelines.files.streams import Readable, is_compressed, open_stream
from gato_pipelines.files.unpacking import WINDOW_MIB
from gato_schemas.errors import FormatError
from gato_schemas.index import Part
from gato_schemas.tfrecord import TFRecordError, read_records
from gato_schemas.wire import decode_example, get_bytes

_HEAD = 1 << 16
"""Bytes at the beginning of a file that show what it is."""
_ENCODINGS = {  # the longer marks first
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_LINES = "JSON lines are wanted, one object a line, as jq -c '.[]' makes them of a list"


class TextRecord(NamedTuple):
    """One document of a file, or why it could not be read.

    Attributes:
        key: where in the file it stands.
        text: None where it could not be read.
        reason: why not.
        id: what the file calls it, may be empty.
        lost: how many documents the reason costs.
    """

    key: str
    text: str | None
    reason: str = ""
    id: str = ""
    lost: int = 1


def read_json(path: Path, part: Part, decode: Decode, window: int = WINDOW_MIB) -> Iterator[TextRecord]:
    """The documents of a JSON lines file; `window` as for `open_stream`."""
    return texts_of(filled_lines(path, part, window), decode)


def read_plain(path: Path, part: Part, separator: bytes, window: int = WINDOW_MIB) -> Iterator[TextRecord]:
    """The documents of a text file: what lies between separators."""
    return texts_of(filled(_passages(path, part, separator, window)), plain_text)


def texts_of(passages: Iterable[Passage], decode: Decode, prefix: str = "") -> Iterator[TextRecord]:
    """The document of each passage; `prefix` begins its key."""
    for passage in passages:
        key = f"{prefix}byte {passage.start}"
        yield TextRecord(key, None, passage.reason) if passage.data is None else to_record(key, passage.data, decode)


def filled_lines(path: Path, part: Part, window: int = WINDOW_MIB) -> Iterator[Passage]:
    """The lines of a part that hold more than white space; a single passage with a reason where there are no lines."""
    with open_stream(path, window=window) as file:
        reason = _not_lines(_head(file))
    return iter([Passage(part.first, None, reason)]) if reason else filled(_passages(path, part, b"\n", window))


def lines_of(file: Readable) -> Iterator[Passage]:
    """The same of an open file, from its beginning."""
    head = _head(file)
    if reason := _not_lines(head) or _not_utf8(head):
        return iter([Passage(0, None, reason)])
    return filled(split_passages(_Resumed(head, file)))


class _Resumed:
    """A file of which some bytes were read already."""

    def __init__(self, head: bytes, file: Readable) -> None:
        self._head, self._file = head, file

    def read(self, size: int, /) -> bytes:
        data, self._head = self._head[:size], self._head[size:]
        return data or self._file.read(size)


def filled(passages: Iterable[Passage]) -> Iterator[Passage]:
    """Those that hold more than white space."""
    return (passage for passage in passages if passage.data is None or (passage.data and not passage.data.isspace()))


def _passages(path: Path, part: Part, separator: bytes, window: int) -> Iterator[Passage]:
    with open_stream(path, window=window) as file:
        reason = _not_utf8(_head(file))
    if reason:
        return iter([Passage(part.first, None, reason)])
    if is_compressed(path.name):  # the size of the part is that of the compressed file
        return read_passages(path, separator, window=window)
    return read_passages(path, separator, part.first, part.size)


def _head(file: Readable) -> bytes:
    try:
        return file.read(_HEAD)
    except EpisodeError:  # it will come up again where the file is read
        return b""


def _not_lines(head: bytes) -> str:
    """Why a file that begins so has no JSON lines; empty where it may have."""
    first = head.removeprefix(BOM).lstrip().split(b"\n")[0].strip()
    if first == b"{":
        return f"the file is one JSON object over several lines: {_LINES}"
    if first[:1] == b"[" and not _is_json(first):
        return f"the file is one JSON list: {_LINES}"
    return ""


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _not_utf8(data: bytes) -> str:
    """Which other encoding bytes begin with; empty where none."""
    encoding = next((name for mark, name in _ENCODINGS.items() if data.startswith(mark)), "")
    return encoding and f"the text is {encoding}, UTF-8 is wanted: iconv -f {encoding} -t UTF-8 converts it"


def read_whole(path: Path, name: str, window: int = WINDOW_MIB) -> TextRecord:
    """A text file as one document; `name` is its key."""
    with open_stream(path, window=window) as file:
        return whole_text(file, name)


def whole_text(file: Readable, name: str) -> TextRecord:
    """All that can be read as one document; `name` is its key."""
    data = bytearray()
    try:
        while len(data) <= MAX_PASSAGE_BYTES and (block := file.read(1 << 20)):
            data += block
    except EpisodeError as error:
        return TextRecord(name, None, str(error))
    return to_record(name, bytes(data), plain_text)


def read_tfrecord(path: Path, part: Part, key: str) -> Iterator[TextRecord]:
    """The documents of a shard that TFDS wrote; `key` is dotted."""
    feature = key.replace(".", "/")

    def decode(data: bytes) -> tuple[str, str]:
        features: Mapping[str, memoryview] = {}
        try:
            features = decode_example(data)
            values = get_bytes(features, feature)
        except FormatError as error:
            names = [name.replace("/", ".") for name in features]
            what = str(error) if feature in features or not names else lacking(key, names, names, "the record")
            raise EpisodeError(f"there is no text under {key!r}: {what}", stage="read") from error
        if len(values) != 1:
            raise EpisodeError(f"there are {len(values)} texts under {key!r}, one was wanted", stage="read")
        return plain_text(bytes(values[0]))

    try:
        for record in read_records(path):
            place = f"record {record.ordinal}"
            if record.error is None:
                yield to_record(place, record.data, decode)
            else:
                yield TextRecord(place, None, record.error)
    except TFRecordError as error:
        yield TextRecord(f"record {error.ordinal}", None, f"the rest of the file cannot be read ({error})")


def to_record(key: str, data: bytes, decode: Decode) -> TextRecord:
    """The document in some bytes."""
    if len(data) > MAX_PASSAGE_BYTES:
        return TextRecord(key, None, TOO_LONG)
    try:
        text, name = decode(data)
    except EpisodeError as error:
        return TextRecord(key, None, str(error))
    return TextRecord(key, text, id=name) if text.strip() else TextRecord(key, None, "the text is empty")


def plain_text(data: bytes) -> tuple[str, str]:
    """Bytes that are a text, which has no id."""
    if reason := _not_utf8(data):
        raise EpisodeError(reason, stage="decode")
    if 4 * data.count(0) > len(data):
        raise EpisodeError(
            "the text has very many NUL characters: is it UTF-16, or has the file holes?", stage="decode"
        )
    try:
        return data.removeprefix(BOM).decode(), ""
    except UnicodeDecodeError as error:
        raise EpisodeError(NOT_UTF8, stage="decode") from error
