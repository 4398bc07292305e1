"""Writing one shard and its index: records in the order given, every offset remembered on the way."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from numpy.typing import NDArray

from gato_data.distinct_patches import distinct_patches
from gato_data.errors import EpisodeError, FormatError
from gato_data.shards.chunks import chunk
from gato_data.shards.episode_hash import episode_hash
from gato_schemas.compression import PatchEncoding
from gato_schemas.index_rows import IndexRows, count_rows
from gato_schemas.record import EncodedRecord, Record, encode_record
from gato_schemas.statistics import Counts
from gato_schemas.tfrecord import HEADER_BYTES, frame


class ShardWriter:
    """Appends episodes to an open file and gathers the sections of its index.

    Args:
        file: an empty binary file.
        encoding: of the `patches` column.
        tasks, agents: the manifest's tables; an episode's task and agent must be in them.
        chunk_tokens: most tokens of a record, as `chunk` has it.
    """

    def __init__(
        self,
        file: BinaryIO,
        encoding: PatchEncoding,
        tasks: Sequence[str],
        agents: Sequence[str],
        chunk_tokens: int | None = None,
    ) -> None:
        self._file = file
        self._encoding, self._chunk_tokens = encoding, chunk_tokens
        self._rows = IndexRows(tasks, agents)
        self._hash = hashlib.sha256()
        self.size = 0
        self.episodes = 0

    def add(self, record: Record) -> None:
        """Append a whole episode or document, cut into chunks where it is long.

        Raises:
            EpisodeError: there is more in it than a record can hold; nothing of it is written.
        """
        digest = episode_hash(record.sequence)
        pieces = list(chunk(record.sequence, self._chunk_tokens))
        parts = [
            replace(record, chunk=number, num_chunks=len(pieces), sequence=piece) for number, piece in enumerate(pieces)
        ]
        try:
            encoded = [encode_record(part, distinct_patches(part.sequence.patches), self._encoding) for part in parts]
        except FormatError as error:
            raise EpisodeError(str(error), stage="write") from error
        for part, written in zip(parts, encoded, strict=True):
            self._append(part, written, digest)
        self.episodes += 1

    def _append(self, record: Record, encoded: EncodedRecord, digest: int) -> None:
        header, footer = frame(encoded.data)
        for piece in (header, encoded.data, footer):
            self._file.write(piece)
            self._hash.update(piece)
        crc = int.from_bytes(footer, "little")
        self._rows.add(record, encoded, offset=self.size + HEADER_BYTES, crc=crc, episode_hash=digest)
        self.size += len(header) + len(encoded.data) + len(footer)

    @property
    def digest(self) -> str:
        """SHA-256 of the file so far, as `sha256sum` prints it."""
        return self._hash.hexdigest()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The sections of the index so far."""
        return self._rows.arrays()

    def totals(self) -> Counts:
        """What has been written so far."""
        return count_rows(self.arrays())
