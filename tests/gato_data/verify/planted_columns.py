"""Faults of one record whose checksums fit: patches, index or hashes that cannot be, and payloads of another form."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import numpy as np
from numpy.typing import NDArray

from gato_data.distinct_patches import distinct_patches, hash_patches
from gato_data.files import digest_of
from gato_schemas import wire
from gato_schemas.columns import encode_column
from gato_schemas.compression import PatchEncoding, deflate_block, store
from gato_schemas.dataset import read_manifest
from gato_schemas.index import encode_index, read_index
from gato_schemas.index_rows import IndexRows, count_rows, find_payloads
from gato_schemas.patches import BLOCK_BYTES, encode_patches
from gato_schemas.record import Record, encode_record
from gato_schemas.tfrecord import frame, masked_crc32c
from tests.gato_data.verify import planted
from tests.gato_data.verify.planted import INDEX, SHARD
from tests.schemas import sequences

RECORD = 2
"""The damaged one, large enough that its columns are deflated."""
Stored = dict[str, wire.Feature]
Damage = Callable[[Path], None]


def stored(change: Callable[[Stored], None]) -> Damage:
    """Other features in one record; its checksum, its row of the index and the manifest follow."""

    def damage(folder: Path) -> None:
        manifest, index = read_manifest(folder), read_index(folder / INDEX)
        found = planted.records(folder)
        rows = IndexRows(index.header.tasks, index.header.agents)
        with (folder / SHARD).open("wb") as file:
            for number, record in enumerate(found):
                data = encoded(record, manifest.patch_encoding, change if number == RECORD else None)
                payloads = find_payloads(data, wire.decode_example(data))
                offset, episode_hash = file.tell() + 12, int(index.episode_hash[number])
                rows.add(record, payloads, offset=offset, crc=masked_crc32c(data), episode_hash=episode_hash)
                header, footer = frame(data)
                file.write(header + data + footer)
        arrays, path = rows.arrays(), folder / SHARD
        facts = {"shard_size": path.stat().st_size, "digest": digest_of(path), "totals": count_rows(arrays)}
        (folder / INDEX).write_bytes(encode_index(msgspec.structs.replace(index.header, **facts), arrays))
        _write_manifest(folder)

    return damage


def _write_manifest(folder: Path) -> None:
    """The manifest follows, also where the index is one that is refused."""
    with mock.patch("gato_schemas.index.inside", return_value=True):
        planted.write_manifest(folder, read_manifest(folder))


def encoded(record: Record, encoding: PatchEncoding, change: Callable[[Stored], None] | None = None) -> bytes:
    """A record with other features than the writer's."""
    encode = wire.encode_example

    def changed(features: Stored) -> Any:
        if change is not None:
            change(features)
        return encode(features)

    with mock.patch("gato_schemas.record.wire.encode_example", changed):
        return encode_record(record, distinct_patches(record.sequence.patches), encoding).data


def patches(change: Callable[[NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint64]], Any]) -> Damage:
    """Other distinct patches, index or hashes of one record; `change` writes into them or returns three others."""

    def damage(folder: Path) -> None:
        encoding = read_manifest(folder).patch_encoding
        whole = distinct_patches(planted.records(folder)[RECORD].sequence.patches)
        arrays = whole.patches.copy(), whole.index.copy(), whole.hashes.copy()
        table, index, hashes = change(*arrays) or arrays

        def replace(features: Stored) -> None:
            features["patches"] = wire.binary(encode_patches(table, encoding))
            features["patch_index"] = wire.binary([encode_column("patch_index", index, encoding.name)])
            features["patch_hash"] = wire.binary([encode_column("patch_hash", hashes, encoding.name)])
            features["num_distinct_patches"] = wire.integer(len(table))

        stored(replace)(folder)

    return damage


def behind(name: str, garbage: bytes = b"garbage") -> Damage:
    """Bytes behind the end of a payload."""

    def append(features: Stored) -> None:
        *others, last = features[name].values
        features[name] = wire.binary([*others, bytes(last) + garbage])

    return stored(append)


def in_form(name: str, form: Callable[[bytes], bytes]) -> Damage:
    """A column in another form, which any reader of zlib takes."""

    def damage(folder: Path) -> None:
        values = getattr(planted.records(folder)[RECORD].sequence, name).tobytes()
        stored(lambda features: features.update({name: wire.binary([form(values)])}))(folder)

    return damage


def deflated(raw: bytes) -> bytes:
    return deflate_block(raw, 6)


def out_of_range(table: NDArray[np.uint8], index: NDArray[np.int32], hashes: NDArray[np.uint64]) -> None:
    index[5] = len(table)


def lying_hash(table: NDArray[np.uint8], index: NDArray[np.int32], hashes: NDArray[np.uint64]) -> None:
    hashes[4] ^= np.uint64(1)


def unused(table: NDArray[np.uint8], index: NDArray[np.int32], hashes: NDArray[np.uint64]) -> None:
    index[-1] = 0


def equal(table: NDArray[np.uint8], index: NDArray[np.int32], hashes: NDArray[np.uint64]) -> None:
    table[7], hashes[7] = table[3], hashes[3]


def of_one_hash(table: NDArray[np.uint8], index: NDArray[np.int32], hashes: NDArray[np.uint64]) -> None:
    rows = [3, 7]
    table[rows] = sequences.of_one_hash()
    hashes[rows] = hash_patches(table[rows])


def in_another_order(table: NDArray[np.uint8], index: NDArray[np.int32], hashes: NDArray[np.uint64]) -> Any:
    """The same pixels, with the rows turned round."""
    return table[::-1], len(table) - 1 - index, hashes[::-1]


def padded(features: Stored) -> None:
    (*blocks, _) = features["patches"].values
    raw = bytes(range(256)) * (BLOCK_BYTES // 256)
    features["patches"] = wire.binary([*blocks, deflate_block(raw, 6)])


FAULTS: dict[str, tuple[Damage, str, str, int | None]] = {
    "a patch index out of range": (patches(out_of_range), "patches", SHARD, RECORD),
    "a distinct patch that is never used": (patches(unused), "patches", SHARD, RECORD),
    "two distinct patches that are equal": (patches(equal), "patches", SHARD, RECORD),
    "two distinct patches of one hash": (patches(of_one_hash), "patches", SHARD, RECORD),
    "a hash that lies": (patches(lying_hash), "patches", SHARD, RECORD),
    "distinct patches in another order": (patches(in_another_order), "patches", SHARD, RECORD),
    "pixels behind the last patch": (stored(padded), "patches", SHARD, RECORD),
    "garbage behind a patch block": (behind("patches"), "patches", SHARD, RECORD),
    "garbage behind the patch index": (behind("patch_index"), "patches", SHARD, RECORD),
    "garbage behind a column": (behind("modality"), "record", SHARD, RECORD),
    "a column that is stored": (in_form("position", store), "record", SHARD, RECORD),
    "tokens that are stored": (in_form("tokens", store), "record", SHARD, RECORD),
}
"""Whole records all of them, by their checksums."""
