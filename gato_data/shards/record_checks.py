"""What is wrong with one record of an open shard, as the rest of a sentence "the shard ..."; "" for nothing."""

import numpy as np

from gato_data.distinct_patches import hash_patches, merge
from gato_data.shards.file import ShardFile
from gato_schemas.compression import STORED_HEAD, stored_head
from gato_schemas.errors import FormatError
from gato_schemas.index import ShardIndex
from gato_schemas.record import distinct_of
from gato_schemas.tfrecord import FOOTER_BYTES, HEADER_BYTES, crc32c, frame_of, masked
from gato_schemas.wire import decode_example

CHECKED_BYTES = 1 << 18
"""Bytes of a record that are in memory at a time while its checksum is computed."""


def frame_problem(file: ShardFile, index: ShardIndex, record: int) -> str:
    """Compare where a record begins and ends with its index."""
    offset, length = int(index.offset[record]), int(index.length[record])
    found = file.read(offset - HEADER_BYTES, HEADER_BYTES), file.read(offset + length, FOOTER_BYTES)
    if found == frame_of(length, int(index.crc[record])):
        return ""
    return "has another record here than its index says: run gato-data verify"


def data_problem(file: ShardFile, index: ShardIndex, record: int) -> str:
    """Compare a record with its checksum."""
    offset, length, crc = int(index.offset[record]), int(index.length[record]), 0
    if (mapped := file.whole_map()) is not None:
        crc = crc32c(mapped[offset : offset + length])
    else:
        block = memoryview(bytearray(min(length, CHECKED_BYTES)))
        for start in range(0, length, CHECKED_BYTES):
            part = block[: min(length - start, CHECKED_BYTES)]
            done = file.fill(offset + start, part)
            crc = crc32c(part[:done], crc)
    return "" if masked(crc) == int(index.crc[record]) else "does not match its checksum: run gato-data verify"


def head_problem(file: ShardFile, index: ShardIndex, record: int) -> str:
    """Look at the head of stored tokens: behind any other one they would not be where they are read."""
    if file.read(index.payload(record, "tokens")[0], STORED_HEAD) == stored_head(index.column_size(record, "tokens")):
        return ""
    return "has no stored tokens, but its index says so: run gato-data verify"


def hash_problem(file: ShardFile, index: ShardIndex, record: int) -> str:
    """Compare the hashes of a record's distinct patches with their pixels and each other, and check its index."""
    if not index.num_distinct[record]:
        return ""
    offset, length = int(index.offset[record]), int(index.length[record])
    mapped = file.whole_map()
    data = file.read(offset, length) if mapped is None else mapped[offset : offset + length]
    try:
        patches = distinct_of(decode_example(data), index.header.patch_encoding)
    except FormatError as error:
        return f"is damaged here: {error}"
    wrong = np.flatnonzero(hash_patches(patches.patches) != patches.hashes)
    if len(wrong):
        return f"has a patch_hash that is not that of distinct patch {wrong[0]}: run gato-data verify"
    if len(merge(patches.hashes)[0]) < len(patches.hashes):
        return "has two distinct patches of one patch_hash: run gato-data verify"
    return ""
