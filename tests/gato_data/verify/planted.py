"""Whole small datasets of every kind, and faults to plant in them: each function damages one thing and nothing else."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from gato_data.card.files import files_of_manifest
from gato_data.distinct_patches import distinct_patches
from gato_data.files import digest_of
from gato_data.shards.rebuild import rebuild_index
from gato_schemas.dataset import (
    Manifest,
    ShardInfo,
    SplitInfo,
    read_manifest,
    shard_name,
)
from gato_schemas.index import DeadLetter, encode_index, read_index
from gato_schemas.record import Record, decode_record, encode_record
from gato_schemas.sequence import Modality
from gato_schemas.statistics import Counts
from gato_schemas.tfrecord import frame, read_records
from tests.gato_data.reading import folders
from tests.sealed import edit_manifest

SHARD = "set-train.tfrecord-00000-of-00002"
INDEX = SHARD + ".index"
Change = Callable[[list[Record]], list[Record]]


def dataset(
    folder: Path,
    kind: str = "pong",
    sizes: Sequence[int] = (9, 4, 30, 6, 5),
    encoding: Literal["zlib", "raw"] = "zlib",
    chunk_tokens: int | None = None,
    large_ids: bool = False,
) -> Path:
    """A whole dataset of two shards and a validation split."""
    made = folders.episodes(kind, sizes, large_ids=large_ids)
    splits = {"train": [made[:3], made[3:4]], "validation": [made[4:]]}
    folders.write_dataset(folder, splits, name="set", encoding=encoding, chunk_tokens=chunk_tokens, large_ids=large_ids)
    (folder / "dead_letters.jsonl").write_bytes(b"")
    write_manifest(folder, read_manifest(folder))
    return folder


def tiny(folder: Path) -> Path:
    """A whole dataset of one episode, and two that were left out."""
    folders.write_dataset(folder, {"train": [folders.episodes("walker", [2])]}, name="set")
    beside = folder / (shard_name("set", "train", 0, 1) + ".index")
    index = read_index(beside)
    letters = [DeadLetter("made/a", "7", "tokenize", "pose is nan"), DeadLetter("made/a", "9", "read", "short", 2)]
    header = msgspec.structs.replace(index.header, dead_letters=letters)
    beside.write_bytes(encode_index(header, index.arrays))
    lines = b"".join(msgspec.json.encode(letter) + b"\n" for letter in letters)
    (folder / "dead_letters.jsonl").write_bytes(lines)
    left_out = {"dead_letters": 3, "dead_letters_digest": hashlib.sha256(lines).hexdigest()}
    write_manifest(folder, msgspec.structs.replace(read_manifest(folder), **left_out))
    return folder


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest with the sizes, digests and totals of the files as they are, and what is made of it."""
    splits, tasks = {}, {name: [] for name in manifest.tasks}
    for split, found in manifest.splits.items():
        infos = []
        for shard in found.shards:
            beside = folder / (shard.name + ".index")
            index = read_index(beside)
            for number in np.unique(index.task):
                tasks[index.header.tasks[number]].append(index.totals(index.task == number))
            path = folder / shard.name
            infos.append(
                ShardInfo(name=shard.name, size=path.stat().st_size, digest=digest_of(path), totals=index.header.totals)
            )
        splits[split] = SplitInfo.of(infos)
    counted = {
        name: msgspec.structs.replace(task, counts=sum(tasks[name], Counts())) for name, task in manifest.tasks.items()
    }
    manifest = msgspec.structs.replace(manifest, splits=splits, tasks=counted)
    for name, data in files_of_manifest(folder, manifest).items():
        (folder / name).write_bytes(data)


def records(folder: Path) -> list[Record]:
    encoding = read_manifest(folder).patch_encoding.name
    return [decode_record(raw.data, encoding) for raw in read_records(folder / SHARD)]


def seal(folder: Path, changed: list[Record]) -> None:
    """Write the first shard anew with these records, its checksums, index and manifest all in agreement."""
    manifest = read_manifest(folder)
    with (folder / SHARD).open("wb") as file:
        for record in changed:
            data = encode_record(record, distinct_patches(record.sequence.patches), manifest.patch_encoding).data
            header, footer = frame(data)
            file.write(header + data + footer)
    part = read_index(folder / INDEX).header.part
    index = rebuild_index(folder / SHARD, manifest, "train")
    header = msgspec.structs.replace(index.header, part=part)
    (folder / INDEX).write_bytes(encode_index(header, index.arrays))
    write_manifest(folder, manifest)


def changing(change: Change) -> Callable[[Path], None]:
    """A fault that checksums cannot see: the records themselves are others."""
    return lambda folder: seal(folder, change(records(folder)))


def column(name: str, token: int, value: Any, record: int = 1) -> Callable[[Path], None]:
    """One value of one column of one record is another."""

    def change(found: list[Record]) -> list[Record]:
        array = getattr(found[record].sequence, name).copy()
        array[token] = value
        sequence = dataclasses.replace(found[record].sequence, **{name: array})
        found[record] = dataclasses.replace(found[record], sequence=sequence)
        return found

    return changing(change)


def fields(record: int, **values: Any) -> Callable[[Path], None]:
    """Other names or numbers of one record."""

    def change(found: list[Record]) -> list[Record]:
        found[record] = dataclasses.replace(found[record], **values)
        return found

    return changing(change)


def starts(folder: Path) -> list[int]:
    """Where the frame of every record of the first shard begins, and the end of the last."""
    index = read_index(folder / INDEX)
    return [*(index.offset.astype(np.int64) - 12).tolist(), (folder / SHARD).stat().st_size]


def flip(name: str, at: Callable[[Path], int]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[at(folder)] ^= 0x04
        (folder / name).write_bytes(data)

    return damage


def content(name: str, change: Callable[[bytes, Path], bytes]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes(), folder))

    return damage


def payload(change: Callable[[bytearray, Path], None]) -> Callable[[Path], None]:
    """Other bytes in record 1 with checksums that fit; its index and the manifest follow."""

    def damage(folder: Path) -> None:
        first, last = starts(folder)[1:3]
        whole = bytearray((folder / SHARD).read_bytes())
        data = whole[first + 12 : last - 4]
        change(data, folder)
        header, footer = frame(bytes(data))
        whole[first:last] = header + data + footer
        (folder / SHARD).write_bytes(whole)
        index = read_index(folder / INDEX)
        checksums = index.crc.copy()
        checksums[1] = int.from_bytes(footer, "little")
        header = msgspec.structs.replace(index.header, digest=digest_of(folder / SHARD))
        (folder / INDEX).write_bytes(encode_index(header, {**index.arrays, "crc": checksums}))
        write_manifest(folder, read_manifest(folder))

    return damage


def damage_block(data: bytearray, folder: Path) -> None:
    index = read_index(folder / INDEX)
    offset, length = index.blocks[int(index.block_starts[1])]
    data[int(offset) + int(length) - 1] ^= 1  # the Adler-32 is last


def no_example(data: bytearray, folder: Path) -> None:
    data[:] = b"\xff" * len(data)


def of_an_older_version(data: bytearray, folder: Path) -> None:
    data[:] = data.replace(b"patch_index", b"other_thing")


def header_of_index(**values: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        index = read_index(folder / INDEX)
        (folder / INDEX).write_bytes(encode_index(msgspec.structs.replace(index.header, **values), index.arrays))

    return damage


def row_of_index(name: str, value: Any, at: int | tuple[int, int] = 1) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        index = read_index(folder / INDEX)
        array = index.arrays[name].copy()
        array[at] = value
        (folder / INDEX).write_bytes(encode_index(index.header, {**index.arrays, name: array}))
        write_manifest(folder, read_manifest(folder))

    return damage


def manifest(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    return lambda folder: edit_manifest(folder, change)


def unlink(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def swapped(found: bytes, folder: Path) -> bytes:
    first, second, third = starts(folder)[:3]
    return found[second:third] + found[first:second] + found[third:]


def first_of(modality: Modality, folder: Path, record: int = 1) -> int:
    return int(np.argmax(records(folder)[record].sequence.modality == modality))
