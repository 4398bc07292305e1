"""A few images of a dataset and the beginning of its first record, from as many records and no more."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gato_data.card.excerpt import excerpt
from gato_data.errors import FormatError, InputError
from gato_data.report.record import OpenRecord, opened_record
from gato_data.shards.file import open_shard
from gato_data.tokenizers.image import from_patches
from gato_schemas.dataset import Manifest, ShardInfo
from gato_schemas.index import ShardIndex, index_path, read_index
from gato_schemas.tfrecord import masked_crc32c

FRAMES = 6
_MAX_PATCHES = 4096
"""Patches of the largest image that is shown: 1024 x 1024 pixels."""
Read: TypeAlias = Callable[[str, int, int], bytes]
"""Bytes of a shard: its name, the first byte and how many there are."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What is shown of the records of a dataset.

    Attributes:
        frames: images uint8 (h, w, 3), spread evenly over a split.
        excerpt: the beginning of the first record, in lines.
    """

    frames: Sequence[NDArray[np.uint8]] = ()
    excerpt: Sequence[str] = field(default_factory=list)


def read_samples(folder: Path, manifest: Manifest, read: Read | None = None) -> Samples:
    """Look at no more than `FRAMES` + 1 records; what of them is damaged is not shown, for `verify` says that.

    Args:
        folder: the dataset, whose manifest may be missing yet; it has the indexes and the text model.
        manifest: of it.
        read: bytes of its shards; None where they lie in the folder.

    Raises:
        InputError: `read` does not get them.
    """
    opened = _Records(folder, read or (lambda name, first, size: open_shard(folder / name).read(first, size)))
    return Samples(list(_frames(manifest, opened)), list(_excerpt(folder, manifest, opened)))


@dataclass(frozen=True, slots=True)
class _Records:
    folder: Path
    read: Read

    def index(self, shard: ShardInfo) -> ShardIndex:
        return read_index(index_path(self.folder / shard.name))

    def open(self, shard: ShardInfo, index: ShardIndex, number: int) -> OpenRecord:
        data = self.read(shard.name, int(index.offset[number]), int(index.length[number]))
        if masked_crc32c(data) != int(index.crc[number]):
            raise FormatError(f"record {number} of {shard.name} does not match its checksum")
        return opened_record(data, shard.name, number)


def _frames(manifest: Manifest, records: _Records) -> Iterator[NDArray[np.uint8]]:
    shards = _shards(manifest, "images")
    owners = [shards[number * len(shards) // FRAMES] for number in range(FRAMES)] if shards else []
    for _, group in groupby(owners, key=lambda shard: shard.name):
        shard, *more = group
        try:
            index = records.index(shard)
            ends = np.cumsum(index.num_images, dtype=np.int64)
            for number in _evenly(int(ends[-1]) if len(ends) else 0, 1 + len(more)):
                record = int(np.searchsorted(ends, number, side="right"))
                before = int(ends[record]) - int(index.num_images[record])
                yield from _image(records.open(shard, index, record), number - before)
        except (FormatError, OSError):
            continue


def _evenly(total: int, wanted: int) -> list[int]:
    """The middles of so many equal pieces of [0, total), each once."""
    return list(dict.fromkeys((2 * number + 1) * total // (2 * wanted) for number in range(wanted))) if total else []


def _image(opened: OpenRecord, number: int) -> Iterator[NDArray[np.uint8]]:
    grids = opened.record.sequence.image_grid
    if number >= len(grids):
        return
    first, rows, columns, height, width = grids[number].tolist()
    if rows * columns <= _MAX_PATCHES:
        yield from_patches(opened.patches(first, rows * columns), np.array([0, rows, columns, height, width]))


def _excerpt(folder: Path, manifest: Manifest, records: _Records) -> Iterator[str]:
    for shard in _shards(manifest, "records")[:1]:
        try:
            yield from excerpt(folder, manifest, records.open(shard, records.index(shard), 0).record)
        except (FormatError, InputError, OSError, IndexError):
            return


def _shards(manifest: Manifest, what: str) -> list[ShardInfo]:
    """The shards of the first split that has any of it, training first; those that have."""
    for _, split in sorted(manifest.splits.items(), key=lambda item: (item[0] != "train", item[0])):
        if found := [shard for shard in split.shards if getattr(shard.totals, what)]:
            return found
    return []
