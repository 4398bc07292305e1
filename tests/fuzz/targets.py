"""What reads files that anybody may have written, as functions of bytes: they return, or raise an error of ours."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import google_crc32c
import msgspec
import numpy as np

from gato_data.distinct_patches import distinct_patches
from gato_data.errors import GatoError
from gato_data.image_decoding import decode_images
from gato_data.shards.episode_hash import EpisodeHasher
from gato_data.verify.dataset import verify_dataset
from gato_data.verify.patches import patch_problems
from gato_data.verify.payloads import column_problems
from gato_pipelines.rlds.decode import EpisodeDecoder
from gato_pipelines.rlds.directory import open_directory
from gato_pipelines.rlds.features import Kind, Leaf, parse_features
from gato_schemas import wire
from gato_schemas.columns import ARRAY_COLUMNS
from gato_schemas.compression import PatchEncoding, deflate_column, inflate_block
from gato_schemas.dataset import decode_manifest, manifest_checksum, read_manifest
from gato_schemas.index import decode_index
from gato_schemas.mixture import read_mixture
from gato_schemas.record import Record, decode_record
from gato_schemas.tfrecord import frame, read_records
from tests.gato_data.reading import folders
from tests.gato_data.verify.planted_columns import encoded

DATA = Path(__file__).parents[1] / "data" / "rlds" / "rlu_atari"
MAX_BYTES = 1 << 26
"""What a target may allocate for an input of a few kilobytes."""


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        read: reads the bytes; what it raises is handled by `run`.
        seeds: good inputs, to be damaged.
    """

    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]

    def run(self, data: bytes) -> bool:
        """Read the bytes; returns whether they were accepted. Anything but an error of ours is a crash."""
        try:
            self.read(data)
        except GatoError:
            return False
        return True


def in_file(read: Callable[[Path], object], name: str) -> Callable[[bytes], object]:
    """Read bytes from a file of this name in a folder of its own."""

    def from_bytes(data: bytes) -> object:
        with TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(data)
            return read(path)

    return from_bytes


@cache
def dataset() -> dict[str, bytes]:
    """The files of a small whole dataset."""
    with TemporaryDirectory() as folder:
        made = folders.episodes("told", [2, 3])
        path = folders.write_dataset(Path(folder) / "set", {"train": [made]}, name="set")
        return {file.name: file.read_bytes() for file in path.iterdir()}


@cache
def whole_records() -> list[Record]:
    """Whole records of text, images and state."""
    made = folders.episodes("told", [2]) + folders.episodes("pages", [9])
    return [Record(episode_id="a", task=one.task, agent="", sequence=one.sequence) for one in made]


def records(encoding: Literal["zlib", "raw"]) -> list[bytes]:
    """The same as bytes."""
    return [encoded(record, PatchEncoding(encoding)) for record in whole_records()]


def with_column(name: str) -> Callable[[bytes], object]:
    """Read a record one column of which has these bytes, in a zlib stream whose checksum fits."""

    def read(data: bytes) -> object:
        payload = wire.binary([deflate_column(data)])
        content = encoded(whole_records()[0], PatchEncoding(), lambda features: features.update({name: payload}))
        features = wire.decode_example(content)
        record = decode_record(content, "zlib")
        return [*column_problems(features, record.sequence, "zlib"), *patch_problems(features, "zlib", EpisodeHasher())]

    return read


def column(name: str) -> list[bytes]:
    """The bytes of a column of that record."""
    sequence = whole_records()[0].sequence
    values = distinct_patches(sequence.patches).index if name == "patch_index" else getattr(sequence, name)
    return [values.astype(ARRAY_COLUMNS.get(name, values.dtype)).tobytes()]


def sealed_index(data: bytes) -> object:
    """An index whose checksum fits, so that what lies behind it is reached."""
    return decode_index(data + google_crc32c.value(data).to_bytes(4, "little"), "index")


def sealed_manifest(data: bytes) -> object:
    """A manifest whose checksum fits, where it is JSON at all."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError):
        content = msgspec.json.decode(data, type=dict[str, Any])
        data = msgspec.json.encode({**content, "checksum": manifest_checksum(content)})
    return decode_manifest(data, "manifest")


def shard(data: bytes) -> object:
    """The whole check of a dataset over a damaged shard: nothing else is damaged."""
    with TemporaryDirectory() as folder:
        for name, content in dataset().items():
            (Path(folder) / name).write_bytes(data if ".tfrecord-" in name and name[-1].isdigit() else content)
        return verify_dataset(Path(folder))


def described(data: bytes) -> object:
    """A TFDS dataset with this `dataset_info.json`."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "dataset_info.json").write_bytes(data)
        (Path(folder) / "features.json").write_bytes(tfds_file("features.json"))
        return open_directory(Path(folder))


def tfds_file(name: str) -> bytes:
    """One file of a real RLDS dataset."""
    return next(DATA.rglob(name)).read_bytes()


LEAVES = (
    Leaf(path="steps/x", kind=Kind.TENSOR, dtype="float32", shape=(2,)),
    Leaf(path="steps/z", kind=Kind.TENSOR, dtype="int32", shape=(3,), encoding="zlib"),
    Leaf(path="steps/t", kind=Kind.TEXT, dtype="string"),
    Leaf(path="steps/i", kind=Kind.IMAGE, dtype="uint8", shape=(8, 8, 3)),
    Leaf(path="id", kind=Kind.TENSOR, dtype="int64"),
)


def rlds_records() -> list[bytes]:
    """A record of one timestep with a leaf of every kind."""
    features = {
        "steps/x": wire.Feature("float", [np.zeros(2, "<f4").tobytes()]),
        "steps/z": wire.binary([zlib.compress(bytes(12))]),
        "steps/t": wire.text("go"),
        "steps/i": wire.binary([pictures()[0]]),
        "id": wire.integer(7),
    }
    return [wire.encode_example(features)[0]]


@cache
def pictures() -> list[bytes]:
    """A PNG and a JPEG of 40 x 60 pixels."""
    import cv2

    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return [bytes(cv2.imencode(kind, pixels)[1]) for kind in (".png", ".jpg")]


def mixture() -> bytes:
    """A mixture file of one dataset."""
    from gato_data.mixing.make import WeightOptions, plan_mixture
    from gato_schemas.mixture import encode_mixture

    with TemporaryDirectory() as folder:
        path = Path(folder) / "set"
        path.mkdir()
        for name, content in dataset().items():
            (path / name).write_bytes(content)
        planned = plan_mixture([path], {"set": 1.0}, folder=Path(folder), options=WeightOptions())
        return encode_mixture(planned)


def framed() -> list[bytes]:
    """Two records with their frames."""
    found = b""
    for data in (b"one", b"another"):
        header, footer = frame(data)
        found += header + data + footer
    return [found]


def file_of(suffix: str) -> bytes:
    """The one file of the small dataset whose name ends like this."""
    return next(content for name, content in dataset().items() if name.endswith(suffix))


TARGETS = {
    "record-zlib": Target(lambda data: decode_record(data, "zlib"), lambda: records("zlib")),
    "record-raw": Target(lambda data: decode_record(data, "raw"), lambda: records("raw")),
    **{
        f"column-{name}": Target(with_column(name), partial(column, name))
        for name in ("image_grid", "modality", "patch_index", "timestep_starts", "tokens")
    },
    "block": Target(lambda data: inflate_block(data, 4096), lambda: [zlib.compress(bytes(4096))]),
    "index": Target(sealed_index, lambda: [file_of(".index")[:-4]]),
    "shard": Target(shard, lambda: [file_of("00000-of-00001")]),
    "tfrecord": Target(in_file(lambda path: list(read_records(path)), "x"), framed),
    "manifest": Target(in_file(lambda path: read_manifest(path.parent), "dataset.json"), lambda: [file_of("t.json")]),
    "sealed-manifest": Target(sealed_manifest, lambda: [file_of("t.json")]),
    "mixture": Target(in_file(read_mixture, "mixture.json"), lambda: [mixture()]),
    "features": Target(parse_features, lambda: [tfds_file("features.json")]),
    "dataset-info": Target(described, lambda: [tfds_file("dataset_info.json")]),
    "rlds-record": Target(lambda data: EpisodeDecoder(LEAVES).decode(data), rlds_records),
    "image": Target(lambda data: decode_images([data], (40, 60, 3)), pictures),
}


def corpus(name: str) -> Iterator[Path]:
    """Inputs that were once a crash of a target."""
    yield from sorted((Path(__file__).parent / "corpus" / name).glob("*"))
