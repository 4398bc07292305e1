"""Selected features of a tf.train.Example, straight from its wire format into numpy arrays.

An RLDS episode is one Example of up to hundreds of megabytes whose features are whole-episode lists. Protocol buffers
make a Python object of every number; here packed floats are a view of the record and packed integers are decoded
vectorised, a block at a time.

    Example  { Features features = 1 }
    Features { map<string, Feature> feature = 1 }         one entry: { key = 1, value = 2 }
    Feature  { BytesList = 1 | FloatList = 2 | Int64List = 3 }, each { repeated value = 1 }
"""

from collections.abc import Iterator, Set
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gato_schemas.errors import FormatError

Value: TypeAlias = NDArray[np.float32] | NDArray[np.int64] | list[memoryview]
"""A float_list, an int64_list or a bytes_list; floats and bytes are read-only views of the record where possible."""

MAX_BYTES_VALUES = 1 << 22
"""Entries of one bytes_list: far above any episode's timesteps, and it bounds what empty entries can cost."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_VALUE_FLOAT = 1 << 3 | _FIXED32
_VALUE_INT64 = 1 << 3 | _VARINT
_MAX_VARINT = 10
_BLOCK = 1 << 18  # bytes of varints decoded at a time: the index arrays of a block stay in the cache


def parse_example(data: bytes | memoryview, wanted: Set[str]) -> dict[str, Value]:
    """Parse the wanted features of one Example; the others are stepped over.

    Like protocol buffers, the last of several features of one name counts. A feature without a list is left out.

    Raises:
        FormatError: the bytes are not a tf.train.Example.
    """
    view = memoryview(data).toreadonly()
    keys = {key.encode(): key for key in wanted}
    found: dict[str, Value] = {}
    for features in _submessages(view):
        for entry in _submessages(features):
            name, feature = _entry(entry)
            key = keys.get(name)
            if key is not None and (value := _feature(feature)) is not None:
                found[key] = value
    return found


def _entry(entry: memoryview) -> tuple[bytes, memoryview]:
    """Key and serialized Feature of one map entry."""
    name, feature = b"", memoryview(b"")
    for number, wire_type, payload in _fields(entry):
        if wire_type != _LENGTH:
            continue
        if number == 1:
            name = bytes(payload)
        elif number == 2:
            feature = payload
    return name, feature


def _feature(feature: memoryview) -> Value | None:
    value: Value | None = None
    for number, wire_type, payload in _fields(feature):
        if wire_type != _LENGTH:
            continue
        if number == _BYTES_LIST:
            value = _bytes_list(payload)
        elif number == _FLOAT_LIST:
            value = _float_list(payload)
        elif number == _INT64_LIST:
            value = _int64_list(payload)
    return value


def _bytes_list(payload: memoryview) -> list[memoryview]:
    values: list[memoryview] = []
    for value in _submessages(payload):
        values.append(value)
        if len(values) > MAX_BYTES_VALUES:
            raise FormatError(f"a bytes list has more than {MAX_BYTES_VALUES} values")
    return values


def _float_list(payload: memoryview) -> NDArray[np.float32]:
    packed = _packed(payload)
    if packed is None:
        packed = _unpacked_floats(payload)
    if len(packed) % 4:
        raise FormatError(f"a float list of {len(packed)} bytes is not a multiple of 4 bytes")
    return np.frombuffer(packed, dtype="<f4")


def _unpacked_floats(payload: memoryview) -> memoryview:
    """The values of a float list that has a tag before each of them, or is packed in several pieces."""
    octets = np.frombuffer(payload, dtype=np.uint8)
    if len(octets) % 5 == 0 and bool((octets[::5] == _VALUE_FLOAT).all()):
        return memoryview(octets.reshape(-1, 5)[:, 1:].tobytes())
    joined = bytearray()
    for number, wire_type, piece in _fields(payload):
        if number == 1 and wire_type in (_FIXED32, _LENGTH):
            joined += piece
    return memoryview(joined)


def _int64_list(payload: memoryview) -> NDArray[np.int64]:
    packed = _packed(payload)
    if packed is not None:
        return decode_varints(packed)
    if len(payload) and payload[0] == _VALUE_INT64:
        tagged = decode_varints(payload)  # the tag of an unpacked value is a varint itself
        if len(tagged) % 2 == 0 and bool((tagged[::2] == _VALUE_INT64).all()):
            return np.ascontiguousarray(tagged[1::2])
    joined = bytearray()
    for number, wire_type, piece in _fields(payload):
        if number == 1 and wire_type in (_VARINT, _LENGTH):
            joined += piece
    return decode_varints(memoryview(joined))


def _packed(payload: memoryview) -> memoryview | None:
    """The one packed piece that makes up a whole list of numbers; None if it is stored in another way."""
    if not len(payload):
        return payload
    number, wire_type, piece = next(_fields(payload))
    whole = number == 1 and wire_type == _LENGTH and len(piece) + _head_length(len(piece)) == len(payload)
    return piece if whole else None


def _head_length(length: int) -> int:
    """Bytes of the tag of field 1 and of a length."""
    return 1 + max(1, (length.bit_length() + 6) // 7)


def decode_varints(packed: memoryview) -> NDArray[np.int64]:
    """Decode back-to-back varints into int64; negative numbers take ten bytes.

    Raises:
        FormatError: a number is longer than ten bytes or 64 bits, or runs past the end.
    """
    octets = np.frombuffer(packed, dtype=np.uint8)
    if len(octets) and octets[-1] >= 0x80:
        raise FormatError("a number runs past the end of its list")
    out = np.empty(int(np.count_nonzero(octets < 0x80)), dtype=np.uint64)
    at = done = 0
    while at < len(octets):
        block = octets[at : at + _BLOCK]
        ends = np.flatnonzero(block < 0x80)
        if not len(ends):
            raise FormatError(f"a number is longer than {_MAX_VARINT} bytes")
        block = block[: int(ends[-1]) + 1]
        _decode_block(block, ends, out[done : done + len(ends)])
        done += len(ends)
        at += len(block)
    return out.view(np.int64)


def _decode_block(block: NDArray[np.uint8], ends: NDArray[np.intp], out: NDArray[np.uint64]) -> None:
    if len(ends) == len(block):  # every number below 128
        out[:] = block
        return
    starts = np.empty_like(ends)
    starts[0] = 0
    starts[1:] = ends[:-1] + 1
    extra = ends - starts
    longest = int(extra.max())
    if longest >= _MAX_VARINT:
        raise FormatError(f"a number is longer than {_MAX_VARINT} bytes")
    out[:] = block[starts] & 0x7F
    for k in range(1, longest + 1):
        rows = np.flatnonzero(extra >= k)
        octet = block[starts[rows] + k]
        if k == _MAX_VARINT - 1 and bool((octet > 1).any()):
            raise FormatError("a number has more than 64 bits")
        out[rows] |= (octet & 0x7F).astype(np.uint64) << np.uint64(7 * k)


def _submessages(view: memoryview) -> Iterator[memoryview]:
    """Yield the length-delimited fields number 1 of a message."""
    for number, wire_type, payload in _fields(view):
        if number == 1 and wire_type == _LENGTH:
            yield payload


def _fields(view: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield (field number, wire type, payload) of a message; the payload of a number is its bytes."""
    at, end = 0, len(view)
    while at < end:
        octet = view[at]
        tag, at = (octet, at + 1) if octet < 0x80 else _read_varint(view, at)
        wire_type = tag & 7
        if tag < 8:
            raise FormatError("a field has number 0")
        if wire_type == _LENGTH:
            length, at = _read_varint(view, at)
            stop = at + length
        elif wire_type == _VARINT:
            stop = _read_varint(view, at)[1]
        elif wire_type == _FIXED32:
            stop = at + 4
        elif wire_type == _FIXED64:
            stop = at + 8
        else:
            raise FormatError(f"a field has wire type {wire_type}, which tf.train.Example never uses")
        if stop > end:
            raise FormatError("a field runs past the end of its message")
        yield tag >> 3, wire_type, view[at:stop]
        at = stop


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    if at < len(view) and (octet := view[at]) < 0x80:
        return octet, at + 1
    value = shift = 0
    end = min(at + _MAX_VARINT, len(view))
    while at < end:
        octet = view[at]
        at += 1
        if octet < 0x80:
            return value | octet << shift, at
        value |= (octet & 0x7F) << shift
        shift += 7
    raise FormatError("a number is longer than ten bytes or runs past the end of its message")
