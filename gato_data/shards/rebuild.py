"""An index rebuilt from its shard: for a sidecar that was lost, and to check one against the data."""

from pathlib import Path

import numpy as np

from gato_data.files import digest_of
from gato_data.shards.episode_hash import EpisodeHasher
from gato_schemas import wire
from gato_schemas.dataset import Manifest
from gato_schemas.errors import FormatError
from gato_schemas.index import IndexHeader, Part, ShardIndex
from gato_schemas.index_rows import IndexRows, count_rows, find_payloads
from gato_schemas.record import distinct_of, record_of
from gato_schemas.tfrecord import masked_crc32c, read_records


def rebuild_index(path: Path, manifest: Manifest, split: str) -> ShardIndex:
    """Read a whole shard and find every offset anew; its statistics and dead letters cannot be found again.

    Raises:
        FormatError: the shard is damaged, or holds a task or agent that the manifest does not know.
    """
    tasks, agents = list(manifest.tasks), list(manifest.agents)
    rows, records = IndexRows(tasks, agents), 0
    hasher, hashes = EpisodeHasher(), list[int]()
    try:
        for raw in read_records(path):
            if raw.error:
                raise FormatError(raw.error)
            features = wire.decode_example(raw.data)
            encoding = manifest.patch_encoding.name
            record, patches = record_of(features, encoding, with_patches=False), distinct_of(features, encoding)
            if record.chunk == 0:
                hashes += [hasher.result()] * (records - len(hashes))
                hasher = EpisodeHasher()
            hasher.add_tokens(record.sequence.tokens)
            hasher.add_patches(patches)
            rows.add(record, find_payloads(raw.data, features), offset=raw.offset, crc=masked_crc32c(raw.data))
            records += 1
    except OSError as error:
        raise FormatError(f"shard {path} cannot be read ({error.strerror})") from error
    hashes += [hasher.result()] * (records - len(hashes))
    arrays = {**rows.arrays(), "episode_hash": np.array(hashes, np.uint64)}
    header = IndexHeader(
        shard=path.name,
        shard_size=path.stat().st_size,
        digest=digest_of(path),
        split=split,
        part=Part("", "", 0),
        fingerprint=manifest.fingerprint,
        token_dtype=manifest.vocabulary.token_dtype,
        patch_encoding=manifest.patch_encoding.name,
        tasks=tasks,
        agents=agents,
        totals=count_rows(arrays),
        statistics=[],
        dead_letters=[],
    )
    return ShardIndex(header=header, **arrays)
