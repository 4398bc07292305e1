"""One shard of a mixture and its index: loaded and checked, or rebuilt where its file is missing."""

import logging
from dataclasses import dataclass
from pathlib import Path

from gato_data.reindex import rebuild_index
from gato_schemas.dataset import Manifest, ShardInfo
from gato_schemas.errors import FormatError
from gato_schemas.index import SUFFIX, ShardIndex, decode_index

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
        self._check(index, path)
        return index, len(data)

    def _check(self, index: ShardIndex, path: Path) -> None:
        header = index.header
        for what, found, wanted in (
            ("is of shard", header.shard, self.info.name),
            ("is of fingerprint", header.fingerprint, self.manifest.fingerprint),
            ("is of a shard of size", header.shard_size, self.info.size),
            ("is of a shard with the digest", header.digest, self.info.digest),
        ):
            if found != wanted:
                raise FormatError(f"{path} {what} {found}, its manifest says {wanted}: run gato-data verify --repair")
        if len(index) and index.chunk[0]:
            raise FormatError(f"{path} begins inside an episode: run gato-data verify --repair")
