"""Readers that fill the same batch: ours, a flat memory map, and the loaders that people use otherwise.

A reader writes the content once (`write`) and then gives batches for ever (`batches`: 0 once it is open, then the
tokens of each batch). Records of loaders that cannot
cut windows are windows cut beforehand, in the order in which a random one comes next: their best case. They all carry
the same four columns and all patches, as raw bytes, and copy them into the same reused torch tensors.
"""

import importlib.util
import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

BATCH, LENGTH = 64, 1024
WIDTH = LENGTH + 1
COLUMNS = {"tokens": "<u2", "loss_mask": "u1", "modality": "u1", "position": "<u2"}
PATCH_BYTES = 768


@dataclass
class Content:
    """One kind of data: whole episodes, and how long a timestep is (1 for text)."""

    sequences: list[Any]
    period: int
    patches: int

    def windows(self) -> Iterator[dict[str, np.ndarray]]:
        """Windows of WIDTH tokens, cut beforehand, in random order."""
        step = LENGTH // self.period * self.period
        places = [
            (number, start)
            for number, sequence in enumerate(self.sequences)
            for start in range(0, sequence.num_tokens - WIDTH + 1, step)
        ]
        for at in np.random.default_rng(1).permutation(len(places)).tolist():
            number, start = places[at]
            sequence = self.sequences[number]
            window = {
                name: getattr(sequence, name)[start : start + WIDTH].astype(kind) for name, kind in COLUMNS.items()
            }
            is_patch = sequence.modality == 1
            first = int(np.count_nonzero(is_patch[:start]))
            count = int(np.count_nonzero(window["modality"] == 1))
            window["patches"] = sequence.patches[first : first + count].reshape(-1)
            yield window


class Rows:
    """One reused batch of torch tensors, and the copying of a record into one of its rows."""

    def __init__(self) -> None:
        shapes = {"tokens": torch.int32, "loss_mask": torch.uint8, "modality": torch.uint8, "position": torch.int32}
        self.tensors = {name: torch.zeros((BATCH, WIDTH), dtype=kind) for name, kind in shapes.items()}
        self.views = {name: tensor.numpy() for name, tensor in self.tensors.items()}
        self.patches = torch.zeros(0, dtype=torch.uint8)
        self.at = self.row = 0

    def put(self, columns: dict[str, np.ndarray], patches: np.ndarray) -> bool:
        """Copy a record; True when the batch is full."""
        for name, view in self.views.items():
            view[self.row] = columns[name]
        if len(patches):
            if not len(self.patches):
                self.patches = torch.zeros(BATCH * WIDTH * PATCH_BYTES, dtype=torch.uint8)
            self.patches.numpy()[self.at : self.at + len(patches)] = patches
            self.at += len(patches)
        self.row += 1
        return self.row == BATCH

    def take(self) -> int:
        """Begin again; the number of tokens of the full batch."""
        self.row = self.at = 0
        return BATCH * WIDTH

    def fill(self, records: Iterable[tuple[dict[str, np.ndarray], np.ndarray]]) -> Iterator[int]:
        """Tokens of one full batch after the other."""
        for columns, patches in records:
            if self.put(columns, patches):
                yield self.take()


def packed(window: dict[str, np.ndarray]) -> bytes:
    """One record as one piece of bytes."""
    return b"".join(window[name].tobytes() for name in (*COLUMNS, "patches"))


def unpacked(data: bytes | memoryview) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Views of the columns of a record."""
    at, columns = 0, {}
    for name, kind in COLUMNS.items():
        columns[name] = np.frombuffer(data, kind, WIDTH, at)
        at += columns[name].nbytes
    return columns, np.frombuffer(data, np.uint8, -1, at)


@dataclass(frozen=True)
class Reader:
    """One way to read: what it needs, how its files are written, and how it reads them."""

    needs: tuple[str, ...]
    write: Callable[[Path, Content], None]
    batches: Callable[[Path, Content | None], Iterator[int]]

    @property
    def missing(self) -> list[str]:
        """Modules that are not installed."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


def write_flat(folder: Path, content: Content) -> None:
    for name, kind in COLUMNS.items():
        np.concatenate([getattr(s, name) for s in content.sequences]).astype(kind).tofile(folder / f"{name}.bin")
    with (folder / "patches.bin").open("wb") as file:
        for sequence in content.sequences:
            file.write(sequence.patches.tobytes())
    np.save(folder / "shape.npy", [content.period, content.patches])


def read_flat(folder: Path, _: Content | None) -> Iterator[int]:
    """Random windows of memory maps, one slice a column: nanoGPT's way, and nothing else to do."""
    maps = {name: np.memmap(folder / f"{name}.bin", kind, "r") for name, kind in COLUMNS.items()}
    period, per_period = np.load(folder / "shape.npy").tolist()
    patches = np.memmap(folder / "patches.bin", np.uint8, "r") if per_period else np.zeros(0, np.uint8)
    before = np.concatenate([[0], np.cumsum(maps["modality"][:period] == 1)]).tolist()
    rows, steps = Rows(), (len(maps["tokens"]) - WIDTH) // period
    generator = np.random.default_rng(0)
    arrays = {name: np.asarray(column) for name, column in maps.items()}
    pixels = np.asarray(patches)
    none = pixels[:0]
    yield 0
    while True:
        for step in generator.integers(0, steps, BATCH).tolist():
            start = step * period
            here = none
            if per_period:
                last = divmod(start + WIDTH, period)
                here = pixels[step * per_period * PATCH_BYTES : (last[0] * per_period + before[last[1]]) * PATCH_BYTES]
            rows.put({name: column[start : start + WIDTH] for name, column in arrays.items()}, here)
        yield rows.take()


def write_tf(folder: Path, content: Content) -> None:
    """Whole episodes as chunks in TFRecords: the very files of our reader, raw."""
    from reading_content import write_dataset

    write_dataset(folder / "tf", content, "raw")
    np.save(folder / "shape.npy", [content.period, content.patches])


def read_tf(folder: Path, _: Content | None) -> Iterator[int]:
    """Parse a record, cut it into windows, shuffle them, batch."""
    import tensorflow as tf

    period, patches = np.load(folder / "shape.npy").tolist()
    step = LENGTH // period * period
    names = (*COLUMNS, "patches", "patch_index") if patches else tuple(COLUMNS)
    features = {name: tf.io.FixedLenFeature([], tf.string) for name in names}
    kinds = {"tokens": tf.uint16, "loss_mask": tf.uint8, "modality": tf.uint8, "position": tf.uint16}

    def parse(data: Any) -> Any:
        example = tf.io.parse_single_example(data, features)
        columns = {
            name: tf.io.decode_raw(tf.io.decode_compressed(example[name], "ZLIB"), kind) for name, kind in kinds.items()
        }
        count = tf.size(columns["tokens"]) // step
        whole = {name: tf.reshape(value[: count * step], (count, step)) for name, value in columns.items()}
        if patches:
            distinct = tf.reshape(tf.io.decode_raw(example["patches"], tf.uint8), (-1, PATCH_BYTES))
            pixels = tf.gather(distinct, tf.cast(tf.io.decode_raw(example["patch_index"], tf.uint16), tf.int32))
            each = step // period * patches
            whole["patches"] = tf.reshape(pixels[: count * each], (count, each, PATCH_BYTES))
        return tf.data.Dataset.from_tensor_slices(whole)

    def widen(batch: Any) -> Any:
        return {name: tf.cast(value, tf.int32) if value.dtype == tf.uint16 else value for name, value in batch.items()}

    files = tf.data.Dataset.list_files(str(folder / "tf" / "*-of-?????"), shuffle=True, seed=0).repeat()
    dataset = files.interleave(tf.data.TFRecordDataset, cycle_length=4).flat_map(parse)
    dataset = dataset.shuffle(256 if patches else 4096).batch(BATCH, drop_remainder=True).map(widen).prefetch(2)
    yield 0
    for batch in dataset.as_numpy_iterator():
        tensors = {name: torch.from_numpy(value) for name, value in batch.items()}
        yield int(tensors["tokens"].numel())


def write_grain(folder: Path, content: Content) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(str(folder / "windows.array_record"), "group_size:1,uncompressed")
    for window in content.windows():
        writer.write(packed(window))
    writer.close()


def read_grain(folder: Path, _: Content | None) -> Iterator[int]:
    import grain

    source = grain.sources.ArrayRecordDataSource(str(folder / "windows.array_record"))
    dataset = grain.MapDataset.source(source).shuffle(seed=0).repeat().map(unpacked)
    yield 0
    yield from Rows().fill(iter(dataset.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=8))))


def write_mosaic(folder: Path, content: Content) -> None:
    from streaming import MDSWriter

    with MDSWriter(out=str(folder / "mds"), columns=dict.fromkeys((*COLUMNS, "patches"), "bytes")) as writer:
        for window in content.windows():
            writer.write({name: value.tobytes() for name, value in window.items()})


def read_mosaic(folder: Path, _: Content | None) -> Iterator[int]:
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    dataset = StreamingDataset(local=str(folder / "mds"), shuffle=True, batch_size=BATCH)

    def records() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        while True:
            for sample in dataset:
                columns = {name: np.frombuffer(sample[name], kind) for name, kind in COLUMNS.items()}
                yield columns, np.frombuffer(sample["patches"], np.uint8)

    yield 0
    yield from Rows().fill(records())


def write_litdata(folder: Path, content: Content) -> None:
    from litdata.streaming.writer import BinaryWriter

    (folder / "lit").mkdir()
    writer = BinaryWriter(cache_dir=str(folder / "lit"), chunk_bytes="64MB")
    for number, window in enumerate(content.windows()):
        writer.add_item(number, packed(window))
    writer.done()
    writer.merge(1)


def read_litdata(folder: Path, _: Content | None) -> Iterator[int]:
    from litdata import StreamingDataset

    dataset = StreamingDataset(str(folder / "lit"), shuffle=True)

    def records() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        while True:
            for item in dataset:
                yield unpacked(item)

    yield 0
    yield from Rows().fill(records())


def write_webdataset(folder: Path, content: Content) -> None:
    with tarfile.open(folder / "windows.tar", "w") as tar:
        for number, window in enumerate(content.windows()):
            data = packed(window)
            info = tarfile.TarInfo(f"{number:08d}.bin")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def read_webdataset(folder: Path, _: Content | None) -> Iterator[int]:
    import webdataset

    dataset = webdataset.WebDataset(str(folder / "windows.tar"), shardshuffle=False).shuffle(100).repeat()
    yield 0
    yield from Rows().fill(unpacked(sample["bin"]) for sample in dataset)


def ours(encoding: str, inflated: int | None = None) -> Reader:
    """Our reader over shards with this patch encoding; `inflated` as in its settings."""

    def write(folder: Path, content: Content) -> None:
        from reading_content import write_dataset, write_mixture

        write_dataset(folder / encoding, content, encoding)
        write_mixture(folder / encoding, folder / f"{encoding}.json")

    def batches(folder: Path, _: Content | None) -> Iterator[int]:
        from gato_data.reading.reader import ReadSettings, open_mixture

        settings = ReadSettings(context_length=LENGTH, prompt_share=0.0, threads=1, verify="frames", inflated=inflated)
        with open_mixture(folder / f"{encoding}.json", settings=settings) as reader:
            yield 0
            ranges = (range(n * BATCH, n * BATCH + BATCH) for n in range(10**9))
            for batch in reader.stream(ranges):
                names = ("distinct_patches", "patch_index", "patch_position", "patch_slot", "supervised_slot")
                tensors = {name: torch.from_numpy(getattr(batch, name)) for name in (*COLUMNS, *names)}
                yield int(tensors["tokens"].shape[0]) * LENGTH - int(BATCH * LENGTH - (batch.length - 1).sum())

    return Reader(("gato_data.reading.reader",), write, batches)


READERS = {
    "flat memory map": Reader((), write_flat, read_flat),
    "ours, raw": ours("raw"),
    "ours, zlib": ours("zlib"),
    "ours, zlib, nothing kept": ours("zlib", inflated=0),
    "LitData": Reader(("litdata",), write_litdata, read_litdata),
    "mosaicml-streaming": Reader(("streaming",), write_mosaic, read_mosaic),
    "webdataset": Reader(("webdataset",), write_webdataset, read_webdataset),
    "grain, array_record": Reader(("grain", "array_record"), write_grain, read_grain),
    "tf.data": Reader(("tensorflow",), write_tf, read_tf),
}
