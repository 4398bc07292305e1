"""The lists of a tf.train.Example's features, straight from their wire format into arrays and views."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gato_schemas.errors import FormatError
from gato_schemas.varints import decode_varints, read_varint

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""Wire types."""
MAX_BYTES_VALUES = 1 << 22
"""Entries of one bytes_list: far above any episode's timesteps, and it bounds what empty entries can cost."""

_VALUE_FLOAT = 1 << 3 | FIXED32
_VALUE_INT64 = 1 << 3 | VARINT


def bytes_list(payload: memoryview) -> list[memoryview]:
    """The values of a bytes_list, as views.

    Raises:
        FormatError: it is malformed, or has more than `MAX_BYTES_VALUES` values.
    """
    if (only := whole_field(payload)) is not None and only[0] == 1:
        return [only[1]]
    values: list[memoryview] = []
    for value in submessages(payload):
        values.append(value)
        if len(values) > MAX_BYTES_VALUES:
            raise FormatError(f"a bytes list has more than {MAX_BYTES_VALUES} values")
    return values


def float_list(payload: memoryview) -> NDArray[np.float32]:
    """The values of a float_list, a view where they are packed.

    Raises:
        FormatError: it is malformed.
    """
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
    return memoryview(b"".join(number_pieces(payload, FIXED32)))


def int64_list(payload: memoryview) -> NDArray[np.int64]:
    """The values of an int64_list.

    Raises:
        FormatError: it is malformed.
    """
    packed = _packed(payload)
    if packed is not None:
        return decode_varints(packed)
    if len(payload) and payload[0] == _VALUE_INT64:
        tagged = decode_varints(payload)  # the tag of an unpacked value is a varint itself
        if len(tagged) % 2 == 0 and bool((tagged[::2] == _VALUE_INT64).all()):
            return np.ascontiguousarray(tagged[1::2])
    return decode_varints(memoryview(b"".join(number_pieces(payload, VARINT))))


def _packed(payload: memoryview) -> memoryview | None:
    """The one packed piece that makes up a whole list of numbers; None if it is stored in another way."""
    if not len(payload):
        return payload
    number, wire_type, piece = next(fields(payload))
    head = 1 + max(1, (len(piece).bit_length() + 6) // 7)  # its tag and its length
    return piece if number == 1 and wire_type == LENGTH and len(piece) + head == len(payload) else None


def number_pieces(payload: memoryview, wire_type: int) -> Iterator[memoryview]:
    """The values of a list of numbers, one by one or packed, in their order."""
    return (piece for number, found, piece in fields(payload) if number == 1 and found in (wire_type, LENGTH))


def submessages(view: memoryview) -> Iterator[memoryview]:
    """Yield the length-delimited fields number 1 of a message."""
    for number, wire_type, payload in fields(view):
        if number == 1 and wire_type == LENGTH:
            yield payload


def whole_field(view: memoryview) -> tuple[int, memoryview] | None:
    """Number and payload of the one length-delimited field that makes up a whole message; None for any other message.

    Most messages of an Example are that, and need no loop.
    """
    if len(view) < 2 or view[0] & 0x87 != LENGTH or view[0] < 8:
        return None
    length, at = read_varint(view, 1)
    return (view[0] >> 3, view[at:]) if at + length == len(view) else None


def fields(view: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield (field number, wire type, payload) of a message; the payload of a number is its bytes."""
    at, end = 0, len(view)
    while at < end:
        octet = view[at]
        tag, at = (octet, at + 1) if octet < 0x80 else read_varint(view, at)
        wire_type = tag & 7
        if tag < 8:
            raise FormatError("a field has number 0")
        if wire_type == LENGTH:
            length, at = read_varint(view, at)
            stop = at + length
        elif wire_type == VARINT:
            stop = read_varint(view, at)[1]
        elif wire_type == FIXED32:
            stop = at + 4
        elif wire_type == FIXED64:
            stop = at + 8
        else:
            raise FormatError(f"a field has wire type {wire_type}, which tf.train.Example never uses")
        if stop > end:
            raise FormatError("a field runs past the end of its message")
        yield tag >> 3, wire_type, view[at:stop]
        at = stop
