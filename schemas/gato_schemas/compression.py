"""zlib blocks through libdeflate: three times faster to read than the standard library, and always the same bytes."""

from dataclasses import dataclass
from typing import Annotated, Literal

import deflate
import msgspec

from gato_schemas.errors import FormatError

DEFAULT_LEVEL = 6


@dataclass(frozen=True, slots=True)
class PatchEncoding:
    """How the `patches` column is stored: "zlib" blocks at a libdeflate level (1 to 12), or "raw" bytes."""

    name: Literal["zlib", "raw"] = "zlib"
    level: Annotated[int, msgspec.Meta(ge=0, le=12)] = DEFAULT_LEVEL


def deflate_block(raw: bytes, level: int) -> bytes:
    """Compress one block into a zlib stream; the same bytes for the same libdeflate."""
    return bytes(deflate.zlib_compress(raw, level))


def inflate_block(payload: bytes | memoryview, size: int) -> bytearray:
    """Inflate one zlib stream of exactly `size` bytes; its Adler-32 is checked.

    Raises:
        FormatError: the stream is damaged, or holds another number of bytes.
    """
    try:
        raw: bytearray = deflate.zlib_decompress(payload, size)
    except (deflate.DeflateError, ValueError) as error:
        raise FormatError(f"a patch block does not inflate ({error})") from error
    if len(raw) != size:
        raise FormatError(f"a patch block inflates to {len(raw)} bytes, {size} were wanted")
    return raw
