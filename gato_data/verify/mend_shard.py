"""Mending one shard: damaged pieces are set aside, the rest is written anew, and so is its index."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from gato_data.errors import FormatError
from gato_data.files import write_durably
from gato_data.printable import counted
from gato_data.shards.rebuild import rebuild_index
from gato_data.verify.dead_letters import append_dead_letters
from gato_data.verify.quarantine import move_aside, set_aside
from gato_data.verify.regions import regions
from gato_data.verify.shard import Removal, ShardCheck
from gato_schemas.dataset import Manifest
from gato_schemas.index import DeadLetter, ShardIndex, encode_index, index_path, read_index


def mend_shard(path: Path, split: str, check: ShardCheck, manifest: Manifest) -> Iterator[str]:
    """Set aside what a check found bad in a shard, and write its index anew; yields what was done.

    Raises:
        OSError: a file cannot be read or written.
    """
    beside = index_path(path)
    index: ShardIndex | None = None
    with suppress(OSError, FormatError):
        index = read_index(beside)
    letters = list(_set_aside(path, check))
    append_dead_letters(path.parent, letters)
    fresh = path.with_name(path.name + ".tmp")
    rewritten = bool(check.removals) or check.frames_damaged
    if rewritten:
        _copy_whole(path, fresh, check.removals, index)
    new = rebuild_index(fresh if rewritten else path, manifest, split)
    kept = index.header if index is not None and index.header.fingerprint == manifest.fingerprint else new.header
    header = msgspec.structs.replace(
        new.header,
        shard=path.name,
        part=kept.part,
        statistics=kept.statistics,
        dead_letters=[*kept.dead_letters, *(letter for letter in letters if letter not in kept.dead_letters)],
        notes=kept.notes,
    )
    data = encode_index(header, new.arrays)
    if beside.is_file() and beside.read_bytes() != data:
        move_aside(beside)  # without an index a shard is never taken for truncated
    if rewritten:
        fresh.replace(path)
        kept_records, aside = counted(header.totals.records, "record"), counted(len(check.removals), "piece")
        yield f"{path.name} keeps {kept_records}; set aside: {aside}"
    if not beside.is_file():
        write_durably(beside, data)
        yield f"{beside.name} was written anew"


def _set_aside(path: Path, check: ShardCheck) -> Iterator[DeadLetter]:
    for removal in check.removals.values():
        region = removal.region
        copy = set_aside(path, region.start, region.end)
        key = removal.episode_id or f"record {region.number}"
        reason = f"{removal.reason} (record {region.number}, byte {region.start}); the bytes are {copy}"
        yield DeadLetter(path.name, key, "verify", reason, removal.episodes)
    records, episodes = check.lost
    if records:
        reason = f"the shard was truncated: its index knew {records} more records"
        yield DeadLetter(path.name, "the last records", "verify", reason, episodes)


def _copy_whole(path: Path, fresh: Path, removals: Mapping[int, Removal], index: ShardIndex | None) -> None:
    fresh.unlink(missing_ok=True)
    with fresh.open("xb") as file:
        for region in regions(path, index):
            if region.start not in removals:
                file.writelines(region.written)
        file.flush()
        os.fsync(file.fileno())
