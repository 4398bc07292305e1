"""One shard of a mixture and its index: loaded and checked, or rebuilt where its file is missing."""

import logging
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np

from gato_data.reindex import rebuild_index
from gato_schemas.dataset import Manifest, ShardInfo
from gato_schemas.errors import FormatError
from gato_schemas.index import RANK_TOKENS, SUFFIX, ShardIndex, decode_index
from gato_schemas.record import BLOCK_PATCHES
from gato_schemas.tfrecord import HEADER_BYTES

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard of one dataset of the mixture."""

    path: Path
    info: ShardInfo
    manifest: Manifest
    split: str

    def load_index(self) -> tuple[ShardIndex, int]:
        """The index and its size in bytes; rebuilt in memory from the shard where the file is missing.

        Raises:
            FormatError: the index is damaged, of another version, or belongs to another shard.
        """
        path = self.path.with_name(self.path.name + SUFFIX)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            _LOG.warning("%s is missing: rebuilt from the shard; gato-data verify --repair writes it anew", path)
            index = rebuild_index(self.path, self.manifest, self.split)
            return index, sum(array.nbytes for array in index.arrays.values())
        except OSError as error:
            raise FormatError(f"{path} cannot be read ({error.strerror})") from error
        index = decode_index(data, str(path))
        self._check(index, google_crc32c.value(data), path)
        return index, len(data)

    def _check(self, index: ShardIndex, crc: int, path: Path) -> None:
        header = index.header
        for what, found, wanted in (
            ("is of shard", header.shard, self.info.name),
            ("is of fingerprint", header.fingerprint, self.manifest.fingerprint),
            ("is of a shard of size", header.shard_size, self.info.size),
            ("has CRC32C", crc, self.info.index_crc),
        ):
            if found != wanted:
                raise FormatError(f"{path} {what} {found}, its manifest says {wanted}: run gato-data verify --repair")
        check_spans(index, path)


def check_spans(index: ShardIndex, path: Path) -> None:
    """Check that everything an index points at lies inside its shard, so that reads stay bounded.

    Raises:
        FormatError: an offset, a count or a number of a task is out of range.
    """
    tokens, length = index.num_tokens.astype(np.int64), index.length.astype(np.int64)
    item = np.dtype(index.header.token_dtype).itemsize
    blocks, per_record = index.blocks.astype(np.int64), np.diff(index.block_starts.astype(np.int64))
    owner = np.repeat(np.arange(len(index)), per_record.clip(0))
    wanted = 1 if index.header.patch_encoding == "raw" else -(-index.num_patches.astype(np.int64) // BLOCK_PATCHES)
    ranks = np.diff(index.rank_starts.astype(np.int64))
    good = (
        bool((index.offset >= HEADER_BYTES).all())
        and bool((index.offset.astype(np.float64) + length <= index.header.shard_size).all())
        and bool((index.columns[:, 0] + tokens * item <= length).all())
        and bool((index.columns.max(axis=1, initial=0) <= length).all())
        and bool((per_record == wanted).all())
        and len(owner) == len(blocks)
        and bool((blocks.sum(axis=1) <= length[owner]).all())
        and bool((ranks == -(-tokens.clip(1) // RANK_TOKENS)).all())
        and bool((index.num_patches <= tokens).all())
        and bool((index.num_timesteps <= tokens).all())
        and bool((index.task < max(1, len(index.header.tasks))).all())
        and bool((index.agent < max(1, len(index.header.agents))).all())
        and (not len(index) or index.chunk[0] == 0)
    )
    if not good:
        raise FormatError(f"{path} points outside its shard: run gato-data verify --repair")
