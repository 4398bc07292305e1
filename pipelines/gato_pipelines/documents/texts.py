"""Texts one by one out of txt, JSON lines, parquet and TFRecord files, whole or in ranges."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec

from gato_data.errors import EpisodeError
from gato_pipelines.documents.lines import MAX_PIECE_BYTES, Piece, read_pieces
from gato_pipelines.documents.streams import is_compressed, open_stream
from gato_schemas.errors import FormatError
from gato_schemas.index import Part
from gato_schemas.tfrecord import TFRecordError, read_records
from gato_schemas.wire import decode_example, get_bytes

_BOM = b"\xef\xbb\xbf"
_TOO_LONG = f"the document is longer than {MAX_PIECE_BYTES >> 20} MiB"


class TextRecord(NamedTuple):
    """One document of a file, or why it could not be read.

    Attributes:
        key: where in the file it stands.
        text: None where it could not be read.
        reason: why not.
        id: what the file calls it, may be empty.
    """

    key: str
    text: str | None
    reason: str = ""
    id: str = ""


Decode: TypeAlias = Callable[[bytes], tuple[str, str]]
"""From the bytes of one record to its text and id; raises EpisodeError."""


def read_json(path: Path, part: Part, decode: Decode) -> Iterator[TextRecord]:
    """The documents of a JSON lines file.

    Raises:
        EpisodeError: the file cannot be read to its end.
    """
    for piece in filled_lines(path, part):
        yield _record(f"byte {piece.start}", piece.data, decode)


def filled_lines(path: Path, part: Part) -> Iterator[Piece]:
    """The lines of a part that hold more than white space.

    Raises:
        EpisodeError: the file cannot be read to its end.
    """
    for piece in _pieces(path, part, b"\n"):
        if piece.data is None or (piece.data and not piece.data.isspace()):
            yield piece


def _pieces(path: Path, part: Part, separator: bytes) -> Iterator[Piece]:
    if is_compressed(path.name):  # the size of the part is that of the compressed file
        return read_pieces(path, separator)
    return read_pieces(path, separator, part.first, part.size)


def read_plain(path: Path, part: Part, separator: bytes) -> Iterator[TextRecord]:
    """The documents of a text file: what lies between separators.

    Raises:
        EpisodeError: the file cannot be read to its end.
    """
    for piece in _pieces(path, part, separator):
        if piece.data is None or (piece.data and not piece.data.isspace()):
            yield _record(f"byte {piece.start}", piece.data, _utf8)


def read_whole(path: Path, name: str) -> TextRecord:
    """A text file as one document; `name` is its key."""
    data = bytearray()
    try:
        with open_stream(path) as file:
            while len(data) <= MAX_PIECE_BYTES and (block := file.read(1 << 20)):
                data += block
    except EpisodeError as error:
        return TextRecord(name, None, str(error))
    return _record(name, bytes(data), _utf8)


def read_tfrecord(path: Path, part: Part, key: str) -> Iterator[TextRecord]:
    """The documents of a shard that TFDS wrote; `key` is dotted.

    Raises:
        EpisodeError: the file cannot be read to its end.
    """
    feature = key.replace(".", "/")

    def decode(data: bytes) -> tuple[str, str]:
        try:
            values = get_bytes(decode_example(data), feature)
        except FormatError as error:
            raise EpisodeError(f"there is no text under {key!r} ({error})", stage="read") from error
        if len(values) != 1:
            raise EpisodeError(f"there are {len(values)} texts under {key!r}, one was wanted", stage="read")
        return _utf8(bytes(values[0]))

    try:
        for record in read_records(path):
            place = f"record {record.ordinal}"
            yield _record(place, record.data, decode) if record.error is None else TextRecord(place, None, record.error)
    except TFRecordError as error:
        raise EpisodeError(f"the rest of the file cannot be read ({error})", stage="read") from error


def _record(key: str, data: bytes | None, decode: Decode) -> TextRecord:
    if data is None or len(data) > MAX_PIECE_BYTES:
        return TextRecord(key, None, _TOO_LONG)
    try:
        text, name = decode(data)
    except EpisodeError as error:
        return TextRecord(key, None, str(error))
    return TextRecord(key, text, id=name) if text.strip() else TextRecord(key, None, "the text is empty")


def _utf8(data: bytes) -> tuple[str, str]:
    try:
        return data.removeprefix(_BOM).decode(), ""
    except UnicodeDecodeError as error:
        raise EpisodeError("the text is not valid UTF-8", stage="decode") from error


def json_decoder(key: str) -> Decode:
    """A decoder of JSON objects that parses nothing but the text under a dotted key, and a top-level `id`."""
    names = key.split(".")
    kind: Any = str
    for name in reversed(names[1:]):
        kind = msgspec.defstruct("Inner", [("value", kind)], rename={"value": name})
    members: list[Any] = [("value", kind)]
    if names[0] != "id":
        members.append(("id", Any, None))
    decoder = msgspec.json.Decoder(msgspec.defstruct("Row", members, rename={"value": names[0]}))

    def decode(data: bytes) -> tuple[str, str]:
        if data.lstrip()[:1] == b"[":
            raise EpisodeError("the line is a list: JSON lines are wanted, one object each", stage="decode")
        row = decode_json(decoder, data, f"there is no text under {key!r}")
        text: Any = row
        for _ in names:
            text = text.value
        name = getattr(row, "id", None)
        return text, str(name) if isinstance(name, str | int) else ""

    return decode


def decode_json(decoder: "msgspec.json.Decoder[Any]", data: bytes, lacking: str) -> Any:
    """One JSON value of the decoder's type.

    Args:
        decoder: of the type wanted.
        data: UTF-8, perhaps with a byte order mark.
        lacking: what a value of another type is called.

    Raises:
        EpisodeError: the bytes are not UTF-8, not JSON, or of another type.
    """
    try:
        return decoder.decode(data.removeprefix(_BOM))
    except UnicodeDecodeError as error:
        raise EpisodeError("the text is not valid UTF-8", stage="decode") from error
    except msgspec.ValidationError as error:
        what = re.sub(r"\[\d+\]", "[...]", str(error))  # where in a list is no kind of reason
        raise EpisodeError(f"{lacking} ({what})", stage="decode") from error
    except (msgspec.DecodeError, RecursionError) as error:
        what = re.sub(r" \(byte \d+\)$", "", str(error)).removeprefix("JSON is malformed: ")
        raise EpisodeError(f"the line is not JSON ({what})", stage="decode") from error
