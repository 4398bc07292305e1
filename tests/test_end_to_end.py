"""The main job as a user does it: real episodes in, tokens out, and readers that know nothing of each other agree."""

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gato_data.detokenize import actions, frames
from gato_data.vocabulary import Vocabulary
from gato_schemas import wire
from gato_schemas.dataset import read_manifest
from gato_schemas.episode import EpisodeSpec
from gato_schemas.index import read_index
from gato_schemas.record import decode_record, distinct_of
from gato_schemas.tfrecord import read_records
from tests.rlds_inputs import ingest, shards

SAMPLE = Path(__file__).parent / "data" / "rlds" / "rlu_atari" / "Breakout_run_1" / "1.3.0"
ARRAYS = {
    "tokens": ("uint16", ()),
    "loss_mask": ("uint8", ()),
    "modality": ("uint8", ()),
    "position": ("uint16", ()),
    "timestep_starts": ("int32", ()),
    "reward": ("float32", ()),
    "patch_position": ("uint8", (4,)),
    "image_grid": ("int32", (5,)),
    "patch_index": ("uint16", ()),
}
STORED = {*ARRAYS, "patch_hash"}
TEXTS = ("episode_id", "source_episode_id", "task", "agent")
COUNTS = ("num_tokens", "num_patches", "num_timesteps", "num_images")
NUMBERS = ("chunk", "num_chunks", *COUNTS, "num_distinct_patches", "is_terminal")
CHUNK_STEPS = 4096 // 22


def gato_data(*arguments: str | Path, cwd: Path) -> str:
    """Run the command as a user does; returns what it prints."""
    command = [Path(sys.executable).with_name("gato-data"), *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "120", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded sample in the repository, ingested."""
    out = tmp_path_factory.mktemp("sample") / "sample"
    ingest(SAMPLE, out)
    return out


@pytest.fixture(scope="module")
def raw_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with patches that are not compressed."""

    out = tmp_path_factory.mktemp("raw_sample") / "sample"
    ingest(SAMPLE, out, patch_encoding="raw")
    return out


@pytest.fixture(scope="module")
def expected() -> list[dict[str, Any]]:
    """Every column of every record of the sample, worked out here from the episodes as TFDS reads them."""
    tfds = pytest.importorskip("tensorflow_datasets", reason="needs TFDS, of the extra [ingest]")
    builder = tfds.builder_from_directory(str(SAMPLE))
    lengths = builder.info.splits["train"].shard_lengths
    episodes = []
    for episode in builder.as_dataset(split="train", shuffle_files=False):
        steps = next(iter(tfds.as_numpy(episode.pop("steps").batch(10_000))))
        episodes.append({**tfds.as_numpy(episode), **steps})
    return [record for number, episode in enumerate(episodes) for record in expected_records(number, lengths, episode)]


INTERVALS = [
    (round(128 * r / 4), round(128 * (r + 1) / 4), round(128 * c / 5), round(128 * (c + 1) / 5))
    for r in range(4)
    for c in range(5)
]


def expected_records(number: int, shard_lengths: list[int], episode: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rules for Atari, written down a second time: 20 patches, separator and action; no final placeholder.

    Chunks have at most 4,096 tokens, and each distinct patch once in order of first appearance.
    """
    import cv2

    shard = int(np.searchsorted(np.cumsum(shard_lengths), number, side="right"))
    ordinal = number - int(np.sum(shard_lengths[:shard]))
    frames, actions = episode["observation"][:-1], episode["action"][:-1]
    assert (episode["action"][-1], episode["reward"][-1]) == (0, 0)
    patches = []
    for frame in frames:
        gray = cv2.resize(frame[..., 0], (80, 64), interpolation=cv2.INTER_AREA)
        colour = np.stack([gray, gray, gray], axis=-1)
        patches += [colour[16 * r : 16 * r + 16, 16 * c : 16 * c + 16] for r in range(4) for c in range(5)]
    starts = range(0, len(actions), CHUNK_STEPS)
    for chunk, start in enumerate(starts):
        steps = len(actions[start : start + CHUNK_STEPS])
        inside = patches[20 * start : 20 * (start + steps)]
        first = {patch.tobytes(): place for place, patch in reversed(list(enumerate(inside)))}
        number_of = {pixels: n for n, (pixels, _) in enumerate(sorted(first.items(), key=lambda item: item[1]))}
        yield {
            "episode_id": f"breakout/{shard:05d}/{ordinal:06d}",
            "source_episode_id": f"{episode['checkpoint_id']}/{episode['episode_id']}",
            "task": "breakout",
            "agent": "run_1",
            "chunk": chunk,
            "num_chunks": len(starts),
            "num_tokens": 22 * steps,
            "num_patches": 20 * steps,
            "num_distinct_patches": len(first),
            "num_timesteps": steps,
            "num_images": steps,
            "return": np.float32(episode["reward"].sum()),
            "is_terminal": int(episode["is_terminal"].any()),
            "tokens": np.array([[65535] * 20 + [33024, a] for a in actions[start:][:steps]], np.uint16).reshape(-1),
            "loss_mask": np.array([0] * 21 + [1] * 1, np.uint8)[np.arange(22 * steps) % 22],
            "modality": np.array([1] * 20 + [4, 2], np.uint8)[np.arange(22 * steps) % 22],
            "position": np.array([*range(20), 65534, 65535], np.uint16)[np.arange(22 * steps) % 22],
            "timestep_starts": np.arange(steps, dtype=np.int32) * 22,
            "reward": episode["reward"][start:][:steps].astype(np.float32),
            "patches": np.stack(inside).astype(np.uint8),
            "patch_index": np.array([number_of[patch.tobytes()] for patch in inside], np.uint16),
            "patch_position": np.array(INTERVALS * steps, np.uint8),
            "image_grid": np.array([[20 * t, 4, 5, 64, 80] for t in range(steps)], np.int32),
        }


def ours(folder: Path) -> list[dict[str, Any]]:
    """The records as our own schemas read them."""
    encoding = read_manifest(folder).patch_encoding.name
    return [columns(raw.data, encoding) for path in shards(folder) for raw in read_records(path)]


def columns(data: bytes, encoding: str) -> dict[str, Any]:
    record, stored = decode_record(data, encoding), distinct_of(wire.decode_example(data), encoding)
    names = [name for name in (*COUNTS, *ARRAYS, "patches") if name != "patch_index"]
    return {
        **{name: getattr(record, name) for name in (*TEXTS, "chunk", "num_chunks")},
        **{name: getattr(record.sequence, name) for name in names},
        "num_distinct_patches": len(stored.patches),
        "patch_index": stored.index,
        "return": record.episode_return,
        "is_terminal": int(record.is_terminal),
    }


def plain_tensorflow(folder: Path) -> list[dict[str, Any]]:
    """The records as anybody reads them with nothing but tf.data and the table in docs/format.md."""
    tf = pytest.importorskip("tensorflow", reason="needs TensorFlow, of the extra [ingest]")
    kinds = {"return": tf.float32} | dict.fromkeys(NUMBERS, tf.int64) | dict.fromkeys((*TEXTS, *ARRAYS), tf.string)
    features = {name: tf.io.FixedLenFeature([], kind) for name, kind in kinds.items()}
    features["patches"] = tf.io.VarLenFeature(tf.string)
    raw = json.loads((folder / "dataset.json").read_text())["patch_encoding"]["name"] == "raw"

    def parse(data: Any) -> dict[str, Any]:
        found = tf.io.parse_single_example(data, features)
        for name, (dtype, row) in ARRAYS.items():
            is_plain = raw and name == "patch_index"
            data = found[name] if is_plain else tf.io.decode_compressed(found[name], "ZLIB")
            found[name] = tf.reshape(tf.io.decode_raw(data, tf.dtypes.as_dtype(dtype)), (-1, *row))
        blocks = tf.sparse.to_dense(found["patches"])
        if not raw:
            blocks = tf.map_fn(lambda block: tf.io.decode_compressed(block, "ZLIB"), blocks)
        pixels = tf.io.decode_raw(tf.strings.reduce_join(blocks), tf.uint8)
        found["patches"] = tf.gather(tf.reshape(pixels, (-1, 16, 16, 3)), tf.cast(found["patch_index"], tf.int32))
        return found

    dataset = tf.data.TFRecordDataset([str(path) for path in shards(folder)]).map(parse)
    return [decoded(record) for record in dataset.as_numpy_iterator()]


def through_tfds(folder: Path) -> list[dict[str, Any]]:
    """The records as TFDS reads the folder by itself."""
    tfds = pytest.importorskip("tensorflow_datasets", reason="needs TFDS, of the extra [ingest]")
    builder = tfds.builder_from_directory(str(folder))
    records = []
    for split in builder.info.splits:
        for record in builder.as_dataset(split=split, shuffle_files=False).as_numpy_iterator():
            hashes = record.pop("patch_hash")
            assert (hashes.dtype, len(hashes)) == (np.uint64, record["num_distinct_patches"])
            patches = record["patches"].reshape(-1, 16, 16, 3)[record["patch_index"]]
            records.append(decoded({**record, "patches": patches}))
    return records


def decoded(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in record.items()}


def assert_same(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    assert [record["episode_id"] for record in found] == [record["episode_id"] for record in wanted]
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.keys() == theirs.keys()
        for name, value in theirs.items():
            np.testing.assert_array_equal(mine[name], value, err_msg=name)
            if name in ARRAYS or name == "patches":
                assert np.asarray(mine[name]).dtype == np.asarray(value).dtype, name


@pytest.mark.parametrize("read", [ours, plain_tensorflow, through_tfds])
def test_every_reader_finds_what_the_rules_say(sample: Path, expected: list[dict[str, Any]], read: Any) -> None:
    assert (
        sum(len(record["tokens"]) for record in expected) == 22 * sum(len(record["reward"]) for record in expected) > 0
    )
    assert_same(read(sample), expected)


@pytest.mark.parametrize("read", [ours, plain_tensorflow, through_tfds])
def test_uncompressed_patches_are_the_same(raw_sample: Path, expected: list[dict[str, Any]], read: Any) -> None:
    assert_same(read(raw_sample), expected)


def test_both_splits_are_read_although_some_of_their_shards_are_empty(breakout: Path) -> None:
    manifest = read_manifest(breakout)
    sizes = {name: [shard.totals.records for shard in split.shards] for name, split in manifest.splits.items()}
    assert sizes == {"train": [2, 0, 1], "validation": [0, 2, 1]}
    assert_same(through_tfds(breakout), ours(breakout))
    assert_same(plain_tensorflow(breakout), ours(breakout))


def test_an_atari_sample_is_a_fifth_of_all_its_patches_compressed(sample: Path) -> None:
    """Both shards of the sample, 757 kB with every patch in zlib blocks and the other columns plain."""
    size = sum(path.stat().st_size for path in shards(sample))
    assert size <= 160_000, size


def test_the_folder_holds_what_the_format_says(breakout: Path) -> None:
    names = [f"breakout-{split}.tfrecord-{n:05d}-of-00003" for split in ("train", "validation") for n in range(3)]
    indexes = [f"{name}.index" for name in names]
    others = ["dataset.json", "dataset_copy.json", "dataset_info.json", "dead_letters.jsonl", "features.json"]
    others += ["README.md", "frames.png", "croissant.json"]
    assert (breakout / "dataset_copy.json").read_bytes() == (breakout / "dataset.json").read_bytes()
    assert sorted(path.name for path in breakout.iterdir()) == sorted([*names, *indexes, *others])
    assert (breakout / "dead_letters.jsonl").read_bytes() == b""
    features = json.loads((breakout / "features.json").read_text())["featuresDict"]["features"]
    assert sorted(features) == sorted([*TEXTS, *NUMBERS, *STORED, "return", "patches"])


def test_features_stand_in_sorted_order_and_blocks_hold_256_patches(sample: Path) -> None:
    from tensorflow.train import Example

    data = next(iter(read_records(shards(sample)[0]))).data
    example = Example.FromString(data)
    keys = list(_map_keys(data))
    assert keys == sorted(example.features.feature)
    blocks = [zlib.decompress(block) for block in example.features.feature["patches"].bytes_list.value]
    patches = example.features.feature["num_distinct_patches"].int64_list.value[0]
    assert [len(block) for block in blocks] == [256 * 768] * -(-patches // 256)
    assert not any(blocks[-1][(patches % 256) * 768 :])


def _map_keys(data: bytes) -> Iterator[str]:
    """Names of the features in the order in which they stand in the record."""
    from google.protobuf.internal import decoder

    _, start = decoder._DecodeVarint(data, 1)  # Example.features
    while start < len(data):
        length, at = decoder._DecodeVarint(data, start + 1)  # one entry of the map
        size, key = decoder._DecodeVarint(data, at + 1)
        yield data[key : key + size].decode()
        start = at + length


def test_the_index_says_what_the_shard_holds(sample: Path, expected: list[dict[str, Any]]) -> None:
    indexes = [read_index(path.with_name(path.name + ".index")) for path in shards(sample)]
    rows = [(path, index, n) for path, index in zip(shards(sample), indexes, strict=True) for n in range(len(index))]
    for (path, index, n), record in zip(rows, expected, strict=True):
        data = path.read_bytes()[int(index.offset[n]) :][: int(index.length[n])]
        assert_same([columns(data, "zlib")], [record])
        offset, size = index.payload(n, "tokens")
        assert zlib.decompress(path.read_bytes()[offset : offset + size]) == record["tokens"].tobytes()
        assert index.num_distinct[n] == record["num_distinct_patches"]
        assert index.tokens_by_modality[n].tolist() == np.bincount(record["modality"], minlength=5).tolist()
        assert index.loss_tokens[n] == record["loss_mask"].sum()
        for name in (*COUNTS, "is_terminal"):
            assert index.arrays[name][n] == record[name], name
        assert index.episode_return[n] == record["return"]


def test_actions_and_frames_come_back_from_the_tokens(sample: Path, expected: list[dict[str, Any]]) -> None:
    task = read_manifest(sample).tasks["breakout"]
    spec = EpisodeSpec(tuple(task.observations), tuple(task.actions))
    records = [decode_record(raw.data, "zlib") for path in shards(sample) for raw in read_records(path)]
    for record, wanted in zip(records, expected, strict=True):
        ids = wanted["tokens"].reshape(-1, 22)[:, -1]
        np.testing.assert_array_equal(actions(record.sequence, spec, Vocabulary())["action"], ids)
        tiles = wanted["patches"].reshape(-1, 4, 5, 16, 16, 3)
        pictures = tiles.transpose(0, 1, 3, 2, 4, 5).reshape(-1, 64, 80, 3)
        np.testing.assert_array_equal(np.stack(frames(record.sequence)), pictures)


def test_from_an_empty_folder_to_a_trained_model(tmp_path: Path) -> None:
    pytest.importorskip("ale_py", reason="needs ale-py, of the extra [simulators]")
    pytest.importorskip("torch", reason="needs torch, of the extra [train]")
    game = ("--game", "breakout", "--episodes", "3", "--max-frames", "240")
    gato_data("record", "atari", *game, "--out", "rlds", cwd=tmp_path)
    made = json.loads(gato_data("ingest", "atari", "rlds", "--out", "breakout", "--json", cwd=tmp_path))
    assert made["totals"]["timesteps"] == 3 * 60
    assert made["totals"]["tokens"] == 3 * 60 * 22
    shard = "breakout/breakout-train.tfrecord-00000-of-00002"
    seen = json.loads(gato_data("inspect", "shard", shard, "--json", cwd=tmp_path))
    assert [record["tokens"] for record in seen["records"]] == [60 * 22]
    gato_data("inspect", "dataset", "breakout", cwd=tmp_path)
    run = ("--steps", "3", "--batch-size", "2")
    plan = ("--weights", "breakout=1", "--context-length", "64", *run, "--out", "mixture.json")
    gato_data("mix", *plan, "breakout", cwd=tmp_path)
    train = ("--mixture", "mixture.json", "--model", "tiny", "--context-length", "64", *run, "--device", "cpu")
    gato_data("train", *train, "--out", "run", cwd=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "train"][-1] == 3
    assert all(np.isfinite(line["loss"]) for line in lines if line["kind"] == "train")
