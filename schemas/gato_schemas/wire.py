"""The wire format of tf.train.Example, written and read without protocol buffers.

Written by hand for three reasons: features in sorted key order give the same bytes everywhere, the index needs to know
where each payload lies, and protocol buffers make a Python object of every number of a list. Here packed floats and
bytes are views of the record, packed integers are decoded vectorised, and a feature is parsed when it is asked for.

    Example  { Features features = 1 }
    Features { map<string, Feature> feature = 1 }         one entry: { key = 1, value = 2 }
    Feature  { BytesList = 1 | FloatList = 2 | Int64List = 3 }, each { repeated value = 1 }
"""

import math
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gato_schemas.errors import FormatError
from gato_schemas.varints import encode_varint, read_varint
from gato_schemas.wire_lists import (
    LENGTH,
    VARINT,
    bytes_list,
    fields,
    float_list,
    int64_list,
    number_pieces,
    submessages,
    whole_field,
)

Span: TypeAlias = tuple[int, int]
"""Offset and length of a payload, in bytes."""
Value: TypeAlias = NDArray[np.float32] | NDArray[np.int64] | list[memoryview]
"""A float_list, an int64_list or a bytes_list; floats and bytes are read-only views of the record where possible."""
Features: TypeAlias = Mapping[str, memoryview]
"""The serialized Feature of every key, as yet unread."""

MAX_EXAMPLE_BYTES = 2**31 - 1
"""Protocol buffers stop at 2 GiB."""

_FLOAT = struct.Struct("<f")
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_KINDS = {"bytes": _BYTES_LIST, "float": _FLOAT_LIST, "int64": _INT64_LIST}
_TAGS = {kind: bytes([number << 3 | LENGTH]) for kind, number in _KINDS.items()}
_SHORT = 64  # bytes
_FIRST, _SECOND = bytes([1 << 3 | LENGTH]), bytes([2 << 3 | LENGTH])  # tags of a message's fields 1 and 2


class Feature(NamedTuple):
    """One feature to write: `bytes` holds its values, `int64` and `float` hold the packed values as one value."""

    kind: Literal["bytes", "float", "int64"]
    values: Sequence[bytes | memoryview]


def binary(values: Sequence[bytes | memoryview]) -> Feature:
    """A BytesList."""
    return Feature("bytes", values)


def text(value: str) -> Feature:
    """A BytesList of one UTF-8 string."""
    return Feature("bytes", [value.encode()])


def integer(value: int) -> Feature:
    """An Int64List of one value."""
    return Feature("int64", [encode_varint(value & 0xFFFFFFFFFFFFFFFF)])


def real(value: float) -> Feature:
    """A FloatList of one value, rounded to float32; infinite where it is beyond float32."""
    try:
        return Feature("float", [_FLOAT.pack(value)])
    except OverflowError:
        return Feature("float", [_FLOAT.pack(math.copysign(math.inf, value))])


def encode_example(features: Mapping[str, Feature]) -> tuple[bytes, dict[str, list[Span]]]:
    """Serialize features in sorted key order.

    Returns:
        The bytes, and for every key the (offset, length) of each of its values in them.

    Raises:
        FormatError: they are more than protocol buffers can read.
    """
    pieces: list[bytes | memoryview] = [b""]
    found: list[tuple[str, int, int]] = []
    at = 0  # offset within the Features message
    keys = sorted(features)
    for key in keys:
        kind, values = features[key]
        if len(values) == 1 and len(values[0]) <= _SHORT:
            entry, start = _short_entry(key, kind, bytes(values[0]))
            pieces.append(entry)
            found.append((key, at + start, len(values[0])))
            at += len(entry)
            continue
        value_heads = [_FIRST + encode_varint(len(value)) for value in values]
        head = _entry_head(key, kind, sum(map(len, value_heads)) + sum(map(len, values)))
        pieces.append(head)
        at += len(head)
        for value_head, value in zip(value_heads, values, strict=True):
            pieces += (value_head, value)
            found.append((key, at + len(value_head), len(value)))
            at += len(value_head) + len(value)
    pieces[0] = _FIRST + encode_varint(at)
    shift = len(pieces[0])
    if shift + at > MAX_EXAMPLE_BYTES:
        raise FormatError(f"a record takes {shift + at} bytes, at most {MAX_EXAMPLE_BYTES} can be read back")
    spans: dict[str, list[Span]] = {key: [] for key in keys}
    for key, start, length in found:
        spans[key].append((start + shift, length))
    return b"".join(pieces), spans


@lru_cache(maxsize=4096)
def _short_entry(key: str, kind: str, value: bytes) -> tuple[bytes, int]:
    """A whole map entry with one value, and where in it the value begins: most features of small records recur."""
    value_head = _FIRST + encode_varint(len(value))
    head = _entry_head(key, kind, len(value_head) + len(value)) + value_head
    return head + value, len(head)


def _entry_head(key: str, kind: str, body: int) -> bytes:
    """A map entry up to its values, which take `body` bytes."""
    name = key.encode()
    list_head = _TAGS[kind] + encode_varint(body)
    head = _FIRST + encode_varint(len(name)) + name + _SECOND + encode_varint(len(list_head) + body) + list_head
    return _FIRST + encode_varint(len(head) + body) + head


def decode_example(data: bytes | memoryview) -> dict[str, memoryview]:
    """Split an Example into its features, which are read by `read_feature` or the `get_` functions.

    Like protocol buffers, the last of several features of one name counts.

    Raises:
        FormatError: the bytes are not a tf.train.Example.
    """
    features: dict[str, memoryview] = {}
    for message in submessages(memoryview(data).toreadonly()):
        for entry in submessages(message):
            key, feature = _entry(entry)
            features[key] = feature
    return features


def leading_features(head: bytes | memoryview) -> dict[str, memoryview]:
    """The features that lie wholly within `head`, the first bytes of an Example.

    Raises:
        FormatError: `head` does not begin like an Example.
    """
    view = memoryview(head).toreadonly()
    if not len(view) or view[0] != _FIRST[0]:
        raise FormatError("not a tf.train.Example: it does not begin with its features")
    features: dict[str, memoryview] = {}
    try:
        for entry in submessages(view[read_varint(view, 1)[1] :]):
            key, feature = _entry(entry)
            features[key] = feature
    except FormatError:  # the entry that `head` cuts off
        pass
    return features


def _entry(entry: memoryview) -> tuple[str, memoryview]:
    """Key and serialized Feature of one map entry."""
    name, feature = b"", memoryview(b"")
    stop = 2 + entry[1] if len(entry) > 2 and entry[0] == _FIRST[0] and entry[1] < 0x80 else len(entry)
    rest = whole_field(entry[stop:])
    if rest is not None and rest[0] == 2:
        name, feature = bytes(entry[2:stop]), rest[1]
        entry = entry[:0]
    for number, wire_type, payload in fields(entry):
        if wire_type != LENGTH:
            continue
        if number == 1:
            name = bytes(payload)
        elif number == 2:
            feature = payload
    try:
        return name.decode(), feature
    except UnicodeDecodeError as error:
        raise FormatError("a feature's name is not UTF-8") from error


def read_feature(feature: memoryview) -> Value | None:
    """All values of a feature, None if it has no list.

    Raises:
        FormatError: it is malformed, or a bytes_list with more than 4 million values.
    """
    kind, payload = _list(feature)
    if kind == _BYTES_LIST:
        return bytes_list(payload)
    if kind == _FLOAT_LIST:
        return float_list(payload)
    return int64_list(payload) if kind == _INT64_LIST else None


def get_bytes(features: Features, key: str) -> list[memoryview]:
    """The values of a BytesList.

    Raises:
        FormatError: the feature is missing or of another kind.
    """
    return bytes_list(_get(features, key, "bytes"))


def get_integer(features: Features, key: str) -> int:
    """The one value of an Int64List, packed or not.

    Raises:
        FormatError: the feature is missing, of another kind, or has another number of values.
    """
    payload = _get(features, key, "int64")
    only = whole_field(payload)
    payload = only[1] if only is not None and only[0] == 1 else memoryview(b"".join(number_pieces(payload, VARINT)))
    value, at = read_varint(payload, 0) if len(payload) else (0, -1)
    if at != len(payload):
        raise FormatError(f"feature {key} has no value or several, one was wanted")
    return value - 2**64 if value >= 2**63 else value


def get_real(features: Features, key: str) -> float:
    """The one value of a FloatList.

    Raises:
        FormatError: the feature is missing, of another kind, or has another number of values.
    """
    values = float_list(_get(features, key, "float"))
    if len(values) != 1:
        raise FormatError(f"feature {key} has {len(values)} values, one was wanted")
    return float(values[0])


def _get(features: Features, key: str, kind: str) -> memoryview:
    """The serialized list of a feature."""
    if (feature := features.get(key)) is None:
        raise FormatError(f"feature {key} is missing, {kind} values were wanted")
    number, payload = _list(feature)
    if number != _KINDS[kind]:
        found = {number: kind for kind, number in _KINDS.items()}.get(number, "no")
        raise FormatError(f"feature {key} holds {found} values, {kind} values were wanted")
    return payload


def _list(feature: memoryview) -> tuple[int, memoryview]:
    """Field number and payload of a feature's last list; 0 where there is none."""
    if (only := whole_field(feature)) is not None and only[0] <= _INT64_LIST:
        return only
    kind, value = 0, feature[:0]
    for number, wire_type, payload in fields(feature):
        if wire_type == LENGTH and number in (_BYTES_LIST, _FLOAT_LIST, _INT64_LIST):
            kind, value = number, payload
    return kind, value
