"""Timesteps and tokens per CPU second for every kind of control data, ours beside TensorFlow Datasets.

    read     every feature of every timestep to numpy, images decoded: our reader, TFDS as its documentation shows it
             (steps: `tfds.as_numpy(episode["steps"])`), and TFDS at its best (batched: a whole episode at a time)
    whole    `gato-data ingest`, and the same work done plainly with TFDS at its best: decode, fit, tokenize,
             compress, write

The recordings of tests/data are made longer by repeating their shards, so that start-up does not count; --samples takes
other folders of TFDS datasets. Every run is a process of its own; CPU time is of all its threads; the fastest of
--rounds counts.

    python benchmarks/sources.py
    python benchmarks/sources.py --only rlu_atari --only procgen --rounds 5
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "tests" / "data" / "rlds"
SOURCES = {
    "rlu_atari": "atari",
    "dmlab_standin": "dm-lab",
    "rlu_control_suite": "dm-control",
    "control_suite_pixels": "dm-control-pixels",
    "babyai": "babyai",
    "metaworld": "meta-world",
    "sokoban": "sokoban",
    "procgen": "procgen",
    "rgb_stacking_sim": "rgb-stacking",
    "modular_rl": "modular-rl",
    "oxe_panda_stack": "rlds",
}
WAYS = ("read ours", "read batched", "read steps", "whole ours", "whole tfds")
TIMESTEPS = {"read": {"image": 4_000, "state": 20_000}, "whole": {"image": 10_000, "state": 100_000}}
"""How much there is to do, roughly: seconds, in which start-up does not matter."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, default=SAMPLES, help="folder of TFDS datasets")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only this dataset; repeatable")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each, the fastest counts (default 2)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--input", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(args.way, args.input, Path(folder))))
        return
    rows = []
    for folder in data_sets(args.samples, args.only):
        row = compare(folder, args.samples, args.rounds)
        rows.append(row)
        show(row, header=len(rows) == 1)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")


def data_sets(samples: Path, only: list[str]) -> Iterator[Path]:
    for info in sorted(samples.rglob("dataset_info.json")):
        name = info.parent.relative_to(samples).parts[0]
        if name in SOURCES and (not only or name in only):
            yield info.parent


def compare(folder: Path, samples: Path, rounds: int) -> dict[str, Any]:
    """All ways on one dataset."""
    row: dict[str, Any] = {"name": "/".join(folder.relative_to(samples).parts[:-1])}
    with tempfile.TemporaryDirectory() as temporary:
        for what in TIMESTEPS:
            longer = repeat(folder, Path(temporary) / what / folder.relative_to(samples), TIMESTEPS[what])
            for way in (way for way in WAYS if way.startswith(what)):
                runs = [run(way, longer) for _ in range(rounds)]
                row[way] = min(runs, key=lambda found: found["seconds"])
    return row


def repeat(folder: Path, out: Path, wanted: dict[str, int]) -> Path:
    """A copy whose shards hold their records several times, so that there is work for a while."""
    out.mkdir(parents=True)
    shards = sorted(folder.glob("*.tfrecord-*"))
    kind = "image" if b'"encodingFormat"' in (folder / "features.json").read_bytes() else "state"
    times = max(1, round(wanted[kind] / count_timesteps(folder)))
    info = json.loads((folder / "dataset_info.json").read_text())
    for split in info["splits"]:
        split["shardLengths"] = [str(int(length) * times) for length in split["shardLengths"]]
    (out / "dataset_info.json").write_text(json.dumps(info))
    shutil.copy(folder / "features.json", out)
    for shard in shards:
        (out / shard.name).write_bytes(shard.read_bytes() * times)
    return out


def count_timesteps(folder: Path) -> int:
    from gato_pipelines.containers.detect import open_container

    container = open_container(folder)
    leaves = container.features.select("steps/is_last")
    items = (item for file in container.files("train") for item in container.episodes(file.name, leaves))
    return sum(item.episode.num_timesteps for item in items if item.episode is not None)


def run(way: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--way", way, "--input", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(way: str, folder: Path, out: Path) -> dict[str, float]:
    """Import and warm up, then run one way on the clock."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    prepare: dict[str, Callable[[Path, Path], Callable[[], tuple[int, int]]]] = {
        "read ours": read_ours,
        "read batched": lambda folder, out: read_tfds(folder, batched=True),
        "read steps": lambda folder, out: read_tfds(folder, batched=False),
        "whole ours": whole_ours,
        "whole tfds": whole_tfds,
    }
    work = prepare[way](folder, out)
    start = time.process_time()
    timesteps, tokens = work()
    return {"timesteps": timesteps, "tokens": tokens, "seconds": time.process_time() - start}


def read_ours(folder: Path, out: Path) -> Callable[[], tuple[int, int]]:
    from gato_data.image_decoding import decode_images
    from gato_pipelines.containers.detect import open_container

    container = open_container(folder)
    leaves = container.features.steps
    shapes = {leaf.path: leaf.shape for leaf in leaves}
    decode_images([_png()], (16, 16, 3))

    def work() -> tuple[int, int]:
        timesteps = 0
        for file in container.files("train"):
            for item in container.episodes(file.name, leaves):
                assert item.episode is not None
                for path, encoded in item.episode.images.items():
                    decode_images(encoded, shapes[path])
                timesteps += item.episode.num_timesteps
        return timesteps, 0

    return work


def _png() -> bytes:
    import cv2
    import numpy as np

    return bytes(cv2.imencode(".png", np.zeros((16, 16, 3), np.uint8))[1])


def read_tfds(folder: Path, *, batched: bool) -> Callable[[], tuple[int, int]]:
    dataset = episodes_of(folder, batched=batched)
    next(iter(dataset))  # tracing is not what is compared

    def work() -> tuple[int, int]:
        timesteps = 0
        for episode in dataset:
            if batched:
                timesteps += len(episode["is_last"].numpy())
                flatten(episode)
            else:
                for _step in as_numpy(episode["steps"]):
                    timesteps += 1
        return timesteps, 0

    return work


def as_numpy(dataset: Any) -> Any:
    import tensorflow_datasets as tfds

    return tfds.as_numpy(dataset)


def episodes_of(folder: Path, *, batched: bool) -> Any:
    import tensorflow_datasets as tfds

    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    dataset = tfds.builder_from_directory(folder).as_dataset(split="train", read_config=config)
    if not batched:
        return dataset
    return dataset.map(lambda episode: episode["steps"].batch(episode["steps"].cardinality()).get_single_element())


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Numpy arrays by path."""
    if not isinstance(tree, dict):
        return {prefix: tree.numpy()}
    return {
        path: value
        for key, child in tree.items()
        for path, value in flatten(child, f"{prefix}/{key}" if prefix else key).items()
    }


def source_of(folder: Path) -> str:
    return next(source for name, source in SOURCES.items() if name in folder.parts)


def whole_ours(folder: Path, out: Path) -> Callable[[], tuple[int, int]]:
    import apache_beam  # noqa: F401  (start-up is not what is compared)
    import cv2  # noqa: F401

    from gato_pipelines.ingest.run import IngestSettings
    from gato_pipelines.ingest.run import run as ingest

    def work() -> tuple[int, int]:
        summary = ingest(source_of(folder), {}, folder, out / "dataset", IngestSettings(workers=1))
        totals = summary.manifest.splits["train"].totals
        return totals.timesteps, totals.tokens

    return work


def whole_tfds(folder: Path, out: Path) -> Callable[[], tuple[int, int]]:
    """The same tokens from TFDS with numpy over whole episodes; what they are made of is taken from our plan."""
    import tensorflow as tf
    from sentencepiece import SentencePieceProcessor

    from gato_pipelines.ingest.run import IngestSettings, plan_only

    plan = plan_only(source_of(folder), {}, folder, out, IngestSettings()).plan
    task = next(iter(plan.tasks.values()))
    model = SentencePieceProcessor(model_file=str(ROOT / "gato_data" / "assets" / "text-32k.model"))
    dataset = episodes_of(folder, batched=True)
    next(iter(dataset))

    def work() -> tuple[int, int]:
        timesteps = tokens = 0
        with tf.io.TFRecordWriter(str(out / "records")) as writer:
            for episode in dataset:
                columns = flatten(episode)
                keep = len(columns["is_last"]) - (task.final_step.policy == "drop")
                record, count = example(tf, {key: value[:keep] for key, value in columns.items()}, task, model)
                writer.write(record)
                timesteps, tokens = timesteps + keep, tokens + count
        return timesteps, tokens

    return work


def example(tf: Any, columns: dict[str, Any], task: Any, model: Any) -> tuple[bytes, int]:
    """One record, made the plain way: numpy, zlib blocks, tf.train.Example."""
    import numpy as np

    from gato_schemas.compression import DEFAULT_LEVEL, deflate_block

    steps = len(columns["is_last"])
    rows: list[Any] = []
    patches: list[Any] = []
    texts: list[Any] = [np.zeros(0, np.uint16)] * steps
    for spec in task.observations:
        value = columns.get(f"observation/{spec.name}", columns.get(spec.name))
        if spec.modality == "text":
            ids = {text: model.encode(text.decode()) for text in set(value.tolist())}
            texts = [np.array(ids[text], np.uint16) for text in value.tolist()]
        elif spec.modality == "image":
            pieces = cut(tf, value, spec)
            patches.append(pieces)
            rows.append(np.full((steps, pieces.shape[1]), 65535, np.uint16))
        else:
            rows.append(ids_of(value.reshape(steps, -1), companded=True))
    rows.append(np.full((steps, 1), 33024, np.uint16))
    for spec in task.actions:
        value = columns.get(f"action/{spec.name}", columns.get(spec.name)).reshape(steps, -1)
        if spec.low is not None:
            low, high = np.asarray(spec.low), np.asarray(spec.high)
            value = (value - low) * (2 / (high - low)) - 1
        rows.append(ids_of(value, companded=False))
    table = np.concatenate(rows, axis=1)
    tokens = np.concatenate([piece for pair in zip(texts, table, strict=True) for piece in pair])
    raw = np.concatenate(patches, axis=1).tobytes() if patches else b""
    size = 256 * 768
    blocks = [deflate_block(raw[at : at + size].ljust(size, b"\0"), DEFAULT_LEVEL) for at in range(0, len(raw), size)]
    one = np.zeros(len(tokens), np.uint8).tobytes()
    values = {
        "tokens": [tokens.tobytes()],
        "loss_mask": [one],
        "modality": [one],
        "position": [np.arange(len(tokens), dtype=np.uint16).tobytes()],
        "timestep_starts": [np.arange(steps, dtype=np.int32).tobytes()],
        "reward": [columns["reward"].astype(np.float32).tobytes()],
        "patches": blocks,
    }
    features = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=v)) for k, v in values.items()}
    record = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)
    return record, len(tokens)


def ids_of(values: Any, *, companded: bool) -> Any:
    import numpy as np

    if values.dtype.kind != "f":
        return values.astype(np.uint16)
    if companded:
        values = np.sign(values) * np.log(np.abs(values) * 100 + 1) / np.log(256 * 100 + 1)
    bins = np.floor((np.clip(values, -1, 1) + 1) * 512)
    return (32000 + np.minimum(bins, 1023)).astype(np.uint16)


def cut(tf: Any, frames: Any, spec: Any) -> Any:
    """Patches (T, m, 16, 16, 3) of frames (T, H, W, C), scaled or padded to the field's size."""
    import numpy as np

    height, width = spec.shape[:2]
    if spec.content is not None:
        frames = np.pad(frames, ((0, 0), (0, height - frames.shape[1]), (0, width - frames.shape[2]), (0, 0)))
    elif frames.shape[1:3] != (height, width):
        small = tf.image.resize(frames, (height, width), method="area")
        frames = tf.cast(tf.round(small), tf.uint8).numpy()
    if frames.shape[3] == 1:
        frames = np.repeat(frames, 3, axis=3)
    blocks = frames.reshape(-1, height // 16, 16, width // 16, 16, 3).transpose(0, 1, 3, 2, 4, 5)
    return np.ascontiguousarray(blocks).reshape(len(frames), -1, 16, 16, 3)


def show(row: dict[str, Any], *, header: bool) -> None:
    if header:
        print("timesteps per CPU second, and how many times TFDS's")
        print(f"{'dataset':<40}{'read':>10}{'batched':>9}{'steps':>8}{'whole':>10}{'tfds':>7}{'tokens':>12}")
    rate = {way: row[way]["timesteps"] / row[way]["seconds"] for way in WAYS}
    tokens = row["whole ours"]["tokens"] / row["whole ours"]["seconds"]
    read, whole = rate["read ours"], rate["whole ours"]
    print(
        f"{row['name']:<40}{read:>10,.0f}{read / rate['read batched']:>8.1f}x{read / rate['read steps']:>7.0f}x"
        f"{whole:>10,.0f}{whole / rate['whole tfds']:>6.1f}x{tokens:>12,.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
