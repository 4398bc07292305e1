"""Is every payload of a record stored as the format says: plain, stored or deflated, with nothing behind its end."""

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gato_schemas import wire
from gato_schemas.columns import SEQUENCE_COLUMNS, stores_tokens
from gato_schemas.compression import SMALL_COLUMN, stored_data
from gato_schemas.patches import BLOCK_BYTES, BLOCK_PATCHES, DistinctPatches
from gato_schemas.sequence import TokenSequence


def column_problems(features: wire.Features, sequence: TokenSequence, encoding: str) -> Iterator[str]:
    """Yield which columns of a sequence have another form than the writer gives them, or bytes behind their end.

    Args:
        features: of the record.
        sequence: as it was decoded; its patches do not matter.
        encoding: of its patches, "zlib" or "raw".
    """
    for name in ("tokens", *SEQUENCE_COLUMNS):
        values = getattr(sequence, name)
        in_place = name == "tokens" and bool(stores_tokens(sequence.num_patches, values.nbytes, encoding))
        yield from _stream_problems(features, name, values, in_place=in_place)


def pixel_problems(features: wire.Features, patches: DistinctPatches, encoding: str) -> Iterator[str]:
    """Yield the same of the patches of a record; a block ends with zeros behind its last patch."""
    if encoding == "raw":
        return  # plain bytes, whose number is known
    yield from _stream_problems(features, "patch_index", patches.index)
    for number, block in enumerate(wire.get_bytes(features, "patches")):
        pixels = patches.patches[number * BLOCK_PATCHES : (number + 1) * BLOCK_PATCHES]
        if not _ends_with(block, pixels, padding=BLOCK_BYTES - pixels.nbytes):
            yield f"patch block {number} has something behind its last patch"


def _stream_problems(
    features: wire.Features, name: str, values: NDArray[np.generic], *, in_place: bool = False
) -> Iterator[str]:
    (stream,) = wire.get_bytes(features, name)
    is_stored = stored_data(stream, values.nbytes) is not None
    if is_stored != (in_place or values.nbytes <= SMALL_COLUMN):
        wanted = "deflated" if is_stored else "stored"
        yield f"the zlib stream of column {name} is not {wanted}, which a column of its size and record has to be"
    elif not _ends_with(stream, values):
        yield f"column {name} has bytes behind the end of its zlib stream"


def _ends_with(stream: memoryview, values: NDArray[np.generic], padding: int = 0) -> bool:
    """Whether a zlib stream ends with the checksum of these values and so many zeros behind them."""
    checksum = zlib.adler32(bytes(padding), zlib.adler32(np.ascontiguousarray(values).data))
    return stream[-4:] == checksum.to_bytes(4, "big")
