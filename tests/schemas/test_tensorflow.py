"""TensorFlow and TensorFlow Datasets read what we write and write what we read, value for value.

The only module of these tests that imports TensorFlow.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from gato_data.distinct_patches import distinct_patches
from gato_data.shards.writer import ShardWriter
from gato_schemas import wire
from gato_schemas.columns import ARRAY_COLUMNS, ROW_SHAPES, SEQUENCE_COLUMNS, is_plain
from gato_schemas.compression import PatchEncoding
from gato_schemas.dataset import ShardInfo, SplitInfo, shard_name
from gato_schemas.record import Record, decode_record
from gato_schemas.sequence import TokenSequence
from gato_schemas.statistics import Counts
from gato_schemas.tfds import tfds_dataset_info, tfds_features
from gato_schemas.tfrecord import TFRecordError, frame, read_records
from tests.schemas.sequences import document, episode
from tests.schemas.test_record import ENCODINGS, RECORDS, encode
from tests.schemas.test_wire import EXAMPLES, written

NUMBERS = ("chunk", "num_chunks", "num_images", "num_patches", "num_timesteps", "num_tokens", "is_terminal")
DISTINCT = "num_distinct_patches"
TEXTS = ("agent", "episode_id", "source_episode_id", "task")
PAYLOADS = [b"first", b"", bytes(range(256)) * 300, b"last"]


@pytest.fixture(scope="session")
def tf():
    tensorflow = pytest.importorskip("tensorflow", reason="needs tensorflow, of the extra [ingest]")
    tensorflow.config.set_visible_devices([], "GPU")
    return tensorflow


def test_examples_are_those_of_tensorflow(tf):
    @settings(max_examples=50)
    @given(EXAMPLES)
    def check(content):
        data, _ = wire.encode_example({key: written(values) for key, values in content.items()})
        parsed = tf.train.Example.FromString(data).features.feature
        assert {key: list(getattr(f, f.WhichOneof("kind")).value) for key, f in parsed.items()} == content

    check()


def test_records_are_examples_of_tensorflow(tf):
    @settings(max_examples=30)
    @given(RECORDS, ENCODINGS)
    def check(record, encoding):
        data = encode(record, encoding).data
        parsed = tf.train.Example.FromString(data)
        assert parsed.SerializeToString(deterministic=True) == data
        feature = parsed.features.feature
        assert feature["episode_id"].bytes_list.value[0].decode() == record.episode_id
        assert feature["chunk"].int64_list.value[0] == record.chunk
        stored = np.array(feature["return"].float_list.value, np.float32)
        np.testing.assert_array_equal(stored, np.array([record.episode_return], np.float32))
        for name in ("tokens", *ARRAY_COLUMNS):
            payload = feature[name].bytes_list.value[0]
            payload = payload if is_plain(name, encoding.name) else zlib.decompress(payload)
            assert payload == columns_of(record.sequence)[name].tobytes()

    check()


def test_tensorflow_reads_our_frames(tf, tmp_path):
    path = tmp_path / "shard"
    path.write_bytes(b"".join(header + data + footer for data in PAYLOADS for header, footer in [frame(data)]))
    assert [item.numpy() for item in tf.data.TFRecordDataset(str(path))] == PAYLOADS


def test_we_read_the_frames_of_tensorflow(tf, tmp_path):
    path = tmp_path / "shard"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for data in PAYLOADS:
            writer.write(data)
    assert [(record.data, record.error) for record in read_records(path)] == [(data, None) for data in PAYLOADS]
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        writer.write(b"data")
    with pytest.raises(TFRecordError, match="gzip-compressed"):
        list(read_records(path))


def write_dataset(folder: Path, encoding: PatchEncoding, dtype: str) -> list[Record]:
    """Three shards of a split, the second of no records; the sequences have many patches, few and none."""
    folder.mkdir()
    groups = [
        [episode(steps=120, grids=[(2, 2), (1, 1)], tensors=2, dtype=dtype), document([5], dtype=dtype)],
        [],
        [document([2, (1, 3), 4], dtype=dtype), episode(steps=1, grids=[], tensors=0, dtype=dtype)],
    ]
    shards, records = [], []
    for number, group in enumerate(groups):
        name = shard_name("tiny", "train", number, len(groups))
        with (folder / name).open("wb") as file:
            writer = ShardWriter(file, encoding, ["tâsk"], ["agent"])
            for ordinal, sequence in enumerate(group):
                writer.add(
                    Record(
                        episode_id=f"tâsk/{number}/{ordinal}",
                        task="tâsk",
                        agent="agent",
                        episode_return=float("nan") if ordinal else -1.5,
                        is_terminal=not ordinal,
                        sequence=sequence,
                    )
                )
        shards.append(ShardInfo(name=name, size=writer.size, digest=writer.digest, totals=writer.totals()))
        raws = read_records(folder / name)
        records += [decode_record(raw.data, encoding.name) for raw in raws]
    split = SplitInfo(shards=shards, totals=Counts(records=len(records)))
    (folder / "features.json").write_text(json.dumps(tfds_features(np.dtype(dtype).name, encoding.name)))
    info = tfds_dataset_info("tiny", {"train": split, "validation": SplitInfo(shards=[], totals=Counts())}, "CC0-1.0")
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return records


def columns_of(sequence: TokenSequence) -> dict[str, NDArray[Any]]:
    """The array columns of a record, as they are stored but for compression."""
    patches = distinct_patches(sequence.patches)
    columns = {name: getattr(sequence, name) for name in ("tokens", *SEQUENCE_COLUMNS)}
    return columns | {"patch_hash": patches.hashes, "patch_index": patches.index.astype(np.uint16)}


def assert_row_is(row: dict, record: Record, encoding: str) -> None:
    """One row as TFDS gives it is one record as we decode it; one gather gives the patches."""
    sequence = record.sequence
    distinct = len(distinct_patches(sequence.patches).patches)
    assert int(row[DISTINCT]) == distinct
    for name in TEXTS:
        assert row[name].decode() == getattr(record, name)
    for name in NUMBERS:
        assert int(row[name]) == int(getattr(record if hasattr(record, name) else sequence, name))
    np.testing.assert_array_equal(row["return"], np.float32(record.episode_return))
    for name, column in columns_of(sequence).items():
        assert (row[name].dtype, row[name].shape) == (column.dtype, column.shape), name
        np.testing.assert_array_equal(row[name], column)
    patches = np.asarray(row["patches"]).reshape(-1, 16, 16, 3)
    assert patches.dtype == np.uint8
    if encoding == "zlib":
        assert len(patches) == -(-distinct // 256) * 256
        assert not patches[distinct:].any()
    np.testing.assert_array_equal(patches[row["patch_index"]], sequence.patches)


@pytest.mark.parametrize("dtype", ["uint16", "int32"])
@pytest.mark.parametrize("encoding", ["zlib", "raw"])
def test_tfds_reads_a_dataset(tf, tmp_path, encoding, dtype):
    import tensorflow_datasets as tfds

    records = write_dataset(tmp_path / "tiny", PatchEncoding(encoding), dtype)
    assert [r.sequence.num_patches for r in records] == [600, 0, 3, 0]
    builder = tfds.builder_from_directory(tmp_path / "tiny")
    assert builder.info.splits["train"].num_examples == 4
    assert builder.info.splits["train"].shard_lengths == [2, 0, 2]
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    rows = list(tfds.as_numpy(builder.as_dataset("train", read_config=config)))
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        assert set(row) == {*TEXTS, *NUMBERS, DISTINCT, "return", "tokens", "patches", *ARRAY_COLUMNS}
        assert_row_is(row, record, encoding)


@pytest.mark.parametrize("dtype", ["uint16", "int32"])
@pytest.mark.parametrize("encoding", ["zlib", "raw"])
def test_plain_tf_data_reads_a_dataset(tf, tmp_path, encoding, dtype):
    records = write_dataset(tmp_path / "tiny", PatchEncoding(encoding), dtype)
    columns = {"tokens": dtype, **{name: np.dtype(kind).name for name, kind in ARRAY_COLUMNS.items()}}
    features = {name: tf.io.FixedLenFeature([], tf.string) for name in (*TEXTS, *columns)}
    features |= {name: tf.io.FixedLenFeature([], tf.int64) for name in (*NUMBERS, DISTINCT)}
    features |= {"return": tf.io.FixedLenFeature([], tf.float32), "patches": tf.io.VarLenFeature(tf.string)}

    def parse(data):
        row = tf.io.parse_single_example(data, features)
        for name, kind in columns.items():
            data = row[name] if is_plain(name, encoding) else tf.io.decode_compressed(row[name], "ZLIB")
            plain = tf.io.decode_raw(data, tf.dtypes.as_dtype(kind if kind != "uint64" else "int64"))
            row[name] = tf.reshape(tf.bitcast(plain, kind), (-1, *ROW_SHAPES.get(name, ())))
        blocks = row["patches"].values
        blocks = tf.io.decode_compressed(blocks, "ZLIB") if encoding == "zlib" else blocks
        row["patches"] = tf.io.decode_raw(blocks, tf.uint8)
        return row

    files = sorted(str(path) for path in (tmp_path / "tiny").glob("*.tfrecord-*"))
    rows = list(tf.data.TFRecordDataset(files).map(parse).as_numpy_iterator())
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        assert_row_is(row, record, encoding)
