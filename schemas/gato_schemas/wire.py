"""The wire format of tf.train.Example, written and read without protocol buffers.

Written by hand for two reasons: features in sorted key order give the same bytes everywhere, and the index needs
to know where each payload lies.

    Example  { Features features = 1 }
    Features { map<string, Feature> feature = 1 }         one entry: { key = 1, value = 2 }
    Feature  { BytesList = 1 | FloatList = 2 | Int64List = 3 }, each { repeated value = 1 }
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gato_schemas.errors import FormatError

Span: TypeAlias = tuple[int, int]
"""Offset and length of a payload, in bytes."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_KIND_FIELDS = {"bytes": 1, "float": 2, "int64": 3}
_KINDS = {number: kind for kind, number in _KIND_FIELDS.items()}
_FLOAT = struct.Struct("<f")


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature: `bytes` holds its values, `int64` and `float` hold the packed values as one value."""

    kind: Literal["bytes", "float", "int64"]
    values: Sequence[bytes | memoryview]


def binary(values: Sequence[bytes]) -> Feature:
    """A BytesList."""
    return Feature("bytes", values)


def text(value: str) -> Feature:
    """A BytesList of one UTF-8 string."""
    return Feature("bytes", [value.encode()])


def integer(value: int) -> Feature:
    """An Int64List of one value."""
    return Feature("int64", [_varint(value & 0xFFFFFFFFFFFFFFFF)])


def real(value: float) -> Feature:
    """A FloatList of one value, rounded to float32."""
    return Feature("float", [_FLOAT.pack(value)])


def encode_example(features: Mapping[str, Feature]) -> tuple[bytes, dict[str, list[Span]]]:
    """Serialize features in sorted key order.

    Returns:
        The bytes, and for every key the (offset, length) of each of its values in them.
    """
    pieces: list[bytes] = []
    spans: dict[str, list[Span]] = {}
    at = 0  # offset within the Features message
    for key in sorted(features):
        feature = features[key]
        values = [(_tag(1, _LENGTH) + _varint(len(value)), value) for value in feature.values]
        body = sum(len(head) + len(value) for head, value in values)
        list_head = _tag(_KIND_FIELDS[feature.kind], _LENGTH) + _varint(body)
        name = key.encode()
        head = _tag(1, _LENGTH) + _varint(len(name)) + name
        head += _tag(2, _LENGTH) + _varint(len(list_head) + body) + list_head
        head = _tag(1, _LENGTH) + _varint(len(head) + body) + head
        pieces.append(head)
        at += len(head)
        spans[key] = []
        for value_head, value in values:
            pieces += [value_head, bytes(value)]
            spans[key].append((at + len(value_head), len(value)))
            at += len(value_head) + len(value)
    outer = _tag(1, _LENGTH) + _varint(at)
    shifted = {key: [(start + len(outer), length) for start, length in key_spans] for key, key_spans in spans.items()}
    return b"".join([outer, *pieces]), shifted


def decode_example(data: bytes | memoryview) -> dict[str, Feature]:
    """Parse an Example; values are views of `data`.

    Raises:
        FormatError: the bytes are not a tf.train.Example.
    """
    view = memoryview(data)
    features: dict[str, Feature] = {}
    for number, payload in _fields(view):
        if number != 1:
            continue
        for entry_number, entry in _fields(payload):
            if entry_number == 1:
                key, feature = _entry(entry)
                features[key] = feature
    return features


def leading_features(head: bytes | memoryview) -> dict[str, Feature]:
    """The features that lie wholly within `head`, the first bytes of an Example; values are views of `head`.

    Raises:
        FormatError: `head` does not begin like an Example.
    """
    view = memoryview(head)
    if not len(view) or view[0] != _tag(1, _LENGTH)[0]:
        raise FormatError("not a tf.train.Example: it does not begin with its features")
    features: dict[str, Feature] = {}
    try:
        for number, entry in _fields(view[_read_varint(view, 1)[1] :]):
            if number == 1:
                key, feature = _entry(entry)
                features[key] = feature
    except FormatError:  # the entry that `head` cuts off
        pass
    return features


def _entry(entry: memoryview) -> tuple[str, Feature]:
    key, feature = "", Feature("bytes", [])
    for number, payload in _fields(entry):
        if number == 1:
            try:
                key = bytes(payload).decode()
            except UnicodeDecodeError as error:
                raise FormatError("a feature's name is not UTF-8") from error
        elif number == 2:
            for kind, values in _fields(payload):
                if kind in _KINDS:
                    feature = Feature(_KINDS[kind], [value for n, value in _fields(values) if n == 1])  # type: ignore[arg-type]
    return key, feature


def _fields(view: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield (field number, payload) of a message; scalars of other wire types are yielded as their bytes."""
    at, end = 0, len(view)
    while at < end:
        tag, at = _read_varint(view, at)
        wire_type = tag & 7
        if wire_type == _LENGTH:
            length, at = _read_varint(view, at)
            stop = at + length
        elif wire_type == _VARINT:
            stop = _read_varint(view, at)[1]
        elif wire_type in (_FIXED64, _FIXED32):
            stop = at + (8 if wire_type == _FIXED64 else 4)
        else:
            raise FormatError(f"not a tf.train.Example: wire type {wire_type}")
        if stop > end:
            raise FormatError("not a tf.train.Example: a field runs past its end")
        yield tag >> 3, view[at:stop]
        at = stop


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    for at in range(at, min(at + 10, len(view))):  # noqa: B020 - the new position is the result
        byte = view[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
        shift += 7
    raise FormatError("not a tf.train.Example: a number runs past its end")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tag(number: int, wire_type: int) -> bytes:
    return bytes([number << 3 | wire_type])


def get_bytes(features: Mapping[str, Feature], key: str) -> list[memoryview]:
    """The values of a BytesList.

    Raises:
        FormatError: the feature is missing or of another kind.
    """
    return [memoryview(value) for value in _get(features, key, "bytes").values]


def get_integer(features: Mapping[str, Feature], key: str) -> int:
    """The one value of an Int64List, packed or not.

    Raises:
        FormatError: the feature is missing, of another kind, or has another number of values.
    """
    payload = memoryview(b"".join(_get(features, key, "int64").values))
    value, at = _read_varint(payload, 0)
    if at != len(payload):
        raise FormatError(f"feature {key} has several values, one was wanted")
    return value - 2**64 if value >= 2**63 else value


def get_real(features: Mapping[str, Feature], key: str) -> float:
    """The one value of a FloatList.

    Raises:
        FormatError: the feature is missing, of another kind, or has another number of values.
    """
    payload = b"".join(_get(features, key, "float").values)
    if len(payload) != _FLOAT.size:
        raise FormatError(f"feature {key} has {len(payload) // 4} values, one was wanted")
    return float(_FLOAT.unpack(payload)[0])


def _get(features: Mapping[str, Feature], key: str, kind: str) -> Feature:
    feature = features.get(key)
    if feature is None or feature.kind != kind:
        found = "missing" if feature is None else f"a {feature.kind} list"
        raise FormatError(f"feature {key} is {found}, a {kind} list was wanted")
    return feature
