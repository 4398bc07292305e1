"""Protocol buffers' variable-length integers: one at a time in plain Python, whole lists with numpy."""

import numpy as np
from numpy.typing import NDArray

from gato_schemas.errors import FormatError

MAX_VARINT = 10
"""Bytes of the longest number of 64 bits."""

_SHORT = [bytes([value]) for value in range(0x80)]
_BLOCK = 1 << 18  # bytes decoded at a time: the index arrays of a block stay in the cache


def encode_varint(value: int) -> bytes:
    """The bytes of one number in [0, 2**64)."""
    if value < 0x80:
        return _SHORT[value]
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(view: memoryview, at: int) -> tuple[int, int]:
    """The number at byte `at`, and the place after it.

    Raises:
        FormatError: it is longer than ten bytes or 64 bits, or runs past the end.
    """
    if at < len(view) and (octet := view[at]) < 0x80:
        return octet, at + 1
    value = shift = 0
    end = min(at + MAX_VARINT, len(view))
    while at < end:
        octet = view[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            if value >> 64:
                raise FormatError("a number has more than 64 bits")
            return value, at
        shift += 7
    raise FormatError("a number is longer than ten bytes or runs past the end of its message")


def encode_varints(values: NDArray[np.int64]) -> bytes:
    """Encode int64 (N,) as back-to-back varints, as in a packed int64_list."""
    numbers = values.view(np.uint64)
    sizes = np.ones(len(numbers), dtype=np.int64)
    for k in range(1, MAX_VARINT):
        sizes += numbers >= np.uint64(1 << 7 * k)
    starts = np.cumsum(sizes) - sizes
    out = np.empty(int(sizes.sum()), dtype=np.uint8)
    for k in range(int(sizes.max(initial=0))):
        rows = np.flatnonzero(sizes > k)
        octets = (numbers[rows] >> np.uint64(7 * k)).astype(np.uint8) & 0x7F
        out[starts[rows] + k] = octets | np.where(sizes[rows] > k + 1, np.uint8(0x80), np.uint8(0))
    return out.tobytes()


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
            raise FormatError(f"a number is longer than {MAX_VARINT} bytes")
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
    if longest >= MAX_VARINT:
        raise FormatError(f"a number is longer than {MAX_VARINT} bytes")
    out[:] = block[starts] & 0x7F
    for k in range(1, longest + 1):
        rows = np.flatnonzero(extra >= k)
        octet = block[starts[rows] + k]
        if k == MAX_VARINT - 1 and bool((octet > 1).any()):
            raise FormatError("a number has more than 64 bits")
        out[rows] |= (octet & 0x7F).astype(np.uint64) << np.uint64(7 * k)
