"""Rows that are JSON objects: only what is wanted of them is built."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from gato_data.errors import EpisodeError
from gato_pipelines.documents.formats.json_lists import NO_OBJECT
from gato_pipelines.documents.formats.json_values import decode_json
from gato_pipelines.documents.rows.row import Kind, Row, kind_of_value
from gato_pipelines.documents.rows.table import SAMPLED, SAMPLED_BYTES
from gato_pipelines.documents.texts.passages import Passage

MAX_ROW_BYTES = 1 << 24
"""Bytes of one row, whose values become objects of many times their size."""
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE = msgspec.json.Decoder(Any)


def json_rows(passages: Iterable[Passage], columns: Sequence[str]) -> Iterator[Row]:
    """The rows in passages of a file that hold an object each."""
    tops = {name.partition(".")[0] for name in columns} | {*columns}
    for passage in passages:
        key = f"byte {passage.start}"
        try:
            yield Row(key, {name: _value(raw) for name, raw in _members(passage).items() if name in tops})
        except EpisodeError as error:
            yield Row(key, {}, str(error))


def json_kinds(passages: Iterable[Passage]) -> Mapping[str, Kind]:
    """What each member holds, by the first value in the first rows that tells it."""
    found: dict[str, Kind] = {}
    size = 0
    for passage in islice(passages, SAMPLED):
        size += len(passage.data or b"")
        if size > SAMPLED_BYTES:
            break
        try:
            members = {name: _value(raw) for name, raw in _members(passage).items()}
        except EpisodeError:
            continue
        for name, value in members.items():
            if found.get(name, "other") == "other":
                found[name] = kind_of_value(name, value)
            if found[name] == "other" and isinstance(value, dict):
                inner = {f"{name}.{key}": kind_of_value(key, each) for key, each in value.items()}
                found |= {key: kind for key, kind in inner.items() if found.get(key, "other") == "other"}
    return found


def _members(passage: Passage) -> dict[str, msgspec.Raw]:
    if passage.data is None:
        raise EpisodeError(passage.reason, stage="read")
    if len(passage.data) > MAX_ROW_BYTES:
        raise EpisodeError(f"the row is longer than {MAX_ROW_BYTES >> 20} MiB", stage="read")
    members: dict[str, msgspec.Raw] = decode_json(_MEMBERS, passage.data, NO_OBJECT)
    return members


def _value(raw: msgspec.Raw) -> Any:
    return decode_json(_VALUE, bytes(raw), NO_OBJECT)
