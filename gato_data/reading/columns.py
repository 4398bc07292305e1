"""Whole columns and patch blocks of records: inflated and checked, and kept for the windows to come."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.reading.inflated import Inflated
from gato_data.shards.files import ShardFiles
from gato_schemas.columns import ARRAY_COLUMNS, ROW_SHAPES, is_plain
from gato_schemas.compression import inflate_block
from gato_schemas.errors import FormatError
from gato_schemas.index import ShardIndex
from gato_schemas.patches import BLOCK_BYTES
from gato_schemas.sequence import Modality


class RecordColumns:
    """Reads columns of records by shard and number in the shard. Safe to use from several threads.

    Args:
        files: the shards.
        inflated: what is kept of them.
    """

    def __init__(self, files: ShardFiles, inflated: Inflated) -> None:
        self._files, self._inflated = files, inflated

    def read(self, name: str, shard: int, record: int) -> NDArray[Any]:
        """A whole array column of a record in its own dtype and shape; not to be written to.

        Raises:
            FormatError: it is damaged, or holds what it cannot; the message names file, record and byte.
        """
        offset, _ = self._files.index(shard).payload(record, name)
        content = self.read_at(name, shard, record, offset)
        return content.view(ARRAY_COLUMNS[name]).reshape(-1, *ROW_SHAPES.get(name, ()))

    def read_at(self, name: str, shard: int, record: int, offset: int) -> NDArray[np.uint8]:
        """The bytes of the column whose payload begins at `offset` of the shard: needs no index where they are kept.

        Raises:
            FormatError: as `read`.
        """
        found = self._inflated.find(shard, offset)
        if found is None:
            found = self._load(name, shard, record)
            self._inflated.keep(shard, offset, found)
        return found

    def read_blocks(self, shard: int, record: int, offset: int, blocks: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        """The pixels of some blocks of a record, ascending, uint8 (256 * 768,) each; the first begins at `offset`.

        Those that are not kept are read at once, from the first of them to the last, inflated one after the other,
        and kept from the second time on.

        Raises:
            FormatError: one is damaged or not there; the message names file, record and byte.
        """
        found = {block: self._inflated.find(shard, offset, block) for block in blocks}
        loaded = self._load_blocks(shard, record, offset, [block for block in blocks if found[block] is None])
        for content in found.values():
            yield next(loaded) if content is None else content

    def check_plain_index(self, shard: int, record: int) -> None:
        """Check that a `patch_index` that is read in place points at the record's distinct patches.

        Raises:
            FormatError: it does not; the message names file, record and byte.
        """
        index = self._files.index(shard)
        if index.header.patch_encoding == "raw" and index.num_patches[record]:
            self._load("patch_index", shard, record)

    def _load(self, name: str, shard: int, record: int) -> NDArray[np.uint8]:
        index = self._files.index(shard)
        offset, length = index.payload(record, name)
        content = np.empty(length, np.uint8)
        self._files.read(shard, offset, content.data)
        if not (name in ARRAY_COLUMNS and is_plain(name, index.header.patch_encoding)):
            content = self._inflate(shard, offset, content, index.column_size(record, name))
        if name in ARRAY_COLUMNS and (problem := _problem(name, content.view(ARRAY_COLUMNS[name]), index, record)):
            raise self._files.error(shard, offset, problem)
        return content

    def _load_blocks(self, shard: int, record: int, offset: int, blocks: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        index = self._files.index(shard)
        places = index.blocks_of(record).astype(np.int64)
        if blocks[-1] >= len(places):
            raise self._files.error(shard, offset, f"has no block {blocks[-1]} of patches")
        places[:, 0] += int(index.offset[record])
        first, stop = int(places[blocks[0], 0]), int(places[blocks[-1]].sum())
        streams = np.empty(max(stop - first, 0), np.uint8)
        self._files.read(shard, first, streams.data)
        for block in blocks:
            at, length = places[block].tolist()
            content = self._inflate(shard, at, streams[at - first : at - first + length], BLOCK_BYTES)
            if self._inflated.asked_before(shard, offset, block):
                self._inflated.keep(shard, offset, content, block)
            yield content
            del content  # its memory is used again for the next one

    def _inflate(self, shard: int, offset: int, stream: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        try:
            return np.frombuffer(inflate_block(stream.data, size), np.uint8)
        except FormatError as error:
            raise self._files.error(shard, offset, f"is damaged here: {error}") from error


def _problem(name: str, values: NDArray[Any], index: ShardIndex, record: int) -> str:
    """What is impossible about a column of a record, "" for nothing."""
    if name == "modality" and (values > max(Modality)).any():
        return "has an unknown modality"
    if name == "modality" and np.count_nonzero(values == Modality.PATCH) != index.num_patches[record]:
        return f"has another number of patch tokens here than its index says, {index.num_patches[record]}"
    if name == "loss_mask" and (values > 1).any():
        return "has a loss mask of other numbers than 0 and 1"
    if name == "patch_index" and len(values) and (highest := int(values.max())) >= index.num_distinct[record]:
        return f"has a patch index that names patch {highest} of {index.num_distinct[record]}"
    if name == "timestep_starts" and (
        not len(values) or values[0] or (np.diff(values) < 0).any() or values[-1] > index.num_tokens[record]
    ):
        return "has timesteps out of order"
    return ""
