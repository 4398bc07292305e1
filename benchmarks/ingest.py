"""Timesteps per CPU second of `gato-data ingest atari`, beside the two things it must be measured against.

    ours      the whole ingest: Beam pipeline, planning pass, statistics, indexes, manifest; one process
    steps     a plain TFDS + tf.data loop over the steps of each episode that does the same work: decode, resize,
              tokenize, compress, write; without planning, statistics, index
    graph     the same, with the steps of an episode gathered inside the graph
    batched   the same, with an episode's frames resized by one call as well
    bare      only what cannot be avoided: decode (OpenCV), resize, compress, write

All read the same recording, in a process of their own, in turn; the fastest of `--rounds` counts. CPU time is
of the whole process tree, so idle cores and other processes do not matter.

    python benchmarks/ingest.py                      records three games first (about a minute)
    python benchmarks/ingest.py --levels             also what each compression level costs and gives
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GAMES = ("breakout", "pong", "ms_pacman")
HEIGHT, WIDTH = 64, 80
BLOCK = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=24, help="episodes of each game (default 24)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, the fastest counts (default 3)")
    parser.add_argument("--levels", action="store_true", help="measure the compression levels as well")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--input", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        report(args.way, args.input)
        return
    with tempfile.TemporaryDirectory() as folder:
        inputs = record(Path(folder), args.episodes)
        results = {way: best(way, inputs, args.rounds) for way in WAYS}
        levels = compression_levels(inputs) if args.levels else []
    show(results, levels)
    if args.json:
        args.json.write_text(json.dumps({"ways": results, "levels": levels}, indent=2) + "\n")


def record(folder: Path, episodes: int) -> list[Path]:
    """Play the games; a random player with a fixed seed."""
    from gato_pipelines.recorders.atari import Recorder

    for game in GAMES:
        made = Recorder(game).record(episodes, folder / game, shards=2)
        print(f"recorded {game}: {made.num_timesteps:,} timesteps", file=sys.stderr)
    return [folder / game for game in GAMES]


def best(way: str, inputs: list[Path], rounds: int) -> dict[str, float]:
    """The fastest of several runs over all games, each in a fresh process."""
    runs = []
    for _ in range(rounds):
        parts = [run(way, path) for path in inputs]
        timesteps, seconds = sum(p["timesteps"] for p in parts), sum(p["seconds"] for p in parts)
        runs.append({"timesteps": timesteps, "seconds": seconds, "peak_mb": max(p["peak_mb"] for p in parts)})
    return min(runs, key=lambda r: r["seconds"])


def run(way: str, path: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--way", way, "--input", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def report(way: str, path: Path) -> None:
    """Warm up on nothing but imports, then run one way and print its figures."""
    with tempfile.TemporaryDirectory() as folder:
        timesteps, seconds = WAYS[way](path, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"timesteps": timesteps, "seconds": seconds, "peak_mb": peak}))


def cpu() -> float:
    return time.process_time()


def ours(path: Path, out: Path) -> tuple[int, float]:
    import apache_beam  # noqa: F401  (start-up is not what is compared)
    import cv2  # noqa: F401

    from gato_pipelines.ingest.run import IngestSettings
    from gato_pipelines.ingest.run import run as ingest

    start = cpu()
    summary = ingest("atari", {}, path, out / "dataset", IngestSettings(workers=1))
    return summary.manifest.splits["train"].totals.timesteps, cpu() - start


def bare(path: Path, out: Path) -> tuple[int, float]:
    import cv2
    import numpy as np

    from gato_pipelines.rlds.decode import EpisodeDecoder
    from gato_pipelines.rlds.directory import open_directory
    from gato_schemas.compression import DEFAULT_LEVEL, deflate_block
    from gato_schemas.tfrecord import read_records

    cv2.setNumThreads(1)
    directory = open_directory(path)
    decoder = EpisodeDecoder(directory.features.select("steps/observation"))
    start, timesteps = cpu(), 0
    with (out / "blocks").open("wb") as file:
        for shard in directory.splits["train"].shards:
            for record in read_records(shard.path):
                images = decoder.decode(record.data).images["steps/observation"][:-1]
                frames = np.empty((len(images), HEIGHT, WIDTH, 3), np.uint8)
                for number, image in enumerate(images):
                    frame = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_GRAYSCALE)
                    small = cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
                    frames[number] = small[..., None]
                raw = patchify(frames).tobytes()
                for at in range(0, len(raw), BLOCK * 768):
                    file.write(deflate_block(raw[at : at + BLOCK * 768], DEFAULT_LEVEL))
                timesteps += len(images)
    return timesteps, cpu() - start


def tfds_steps(path: Path, out: Path) -> tuple[int, float]:
    return tfds(path, out, "steps")


def tfds_graph(path: Path, out: Path) -> tuple[int, float]:
    return tfds(path, out, "graph")


def tfds_batched(path: Path, out: Path) -> tuple[int, float]:
    return tfds(path, out, "batched")


def tfds(path: Path, out: Path, how: str) -> tuple[int, float]:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import numpy as np
    import tensorflow as tf
    import tensorflow_datasets

    def fit(steps: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        small = tf.image.resize(steps["observation"], (HEIGHT, WIDTH), method="area")
        frame = tf.cast(tf.round(small), tf.uint8)
        return {"frame": tf.repeat(frame, 3, axis=-1), "action": steps["action"], "reward": steps["reward"]}

    def arrays(episode: dict[str, tf.data.Dataset]) -> dict[str, tf.Tensor]:
        steps = episode["steps"]
        if how == "steps":
            return {"steps": steps.map(fit)}
        if how == "graph":
            return steps.map(fit).batch(steps.cardinality()).get_single_element()
        return fit(steps.batch(steps.cardinality()).get_single_element())

    def whole(episode: dict[str, object]) -> dict[str, np.ndarray]:
        if how != "steps":
            return tensorflow_datasets.as_numpy(episode)
        steps = list(episode["steps"].as_numpy_iterator())
        return {key: np.stack([step[key] for step in steps]) for key in steps[0]}

    dataset = tensorflow_datasets.builder_from_directory(path).as_dataset(split="train").map(arrays)
    whole(next(iter(dataset)))  # tracing is not what is compared
    start, timesteps = cpu(), 0
    with tf.io.TFRecordWriter(str(out / "records")) as writer:
        for episode in map(whole, dataset):
            actions = episode["action"][:-1]
            writer.write(example(tf, np, episode["frame"][:-1], actions, episode["reward"][:-1]))
            timesteps += len(actions)
    return timesteps, cpu() - start


def example(tf: object, np: object, frames: object, actions: object, reward: object) -> bytes:
    """The record that gato-data writes, made the plain way: numpy, zlib blocks, tf.train.Example."""
    from gato_schemas.compression import DEFAULT_LEVEL, deflate_block

    steps, patches = len(frames), patchify(frames)
    tokens = np.full((steps, 22), 65535, np.uint16)
    tokens[:, 20], tokens[:, 21] = 33024, actions
    mask, modality = np.zeros((steps, 22), np.uint8), np.ones((steps, 22), np.uint8)
    mask[:, 21], modality[:, 20], modality[:, 21] = 1, 4, 2
    position = np.tile(np.arange(22, dtype=np.uint16), (steps, 1))
    position[:, 20], position[:, 21] = 65534, 65535
    rows, columns = np.rint(np.arange(5) * 32), np.rint(np.arange(6) * 25.6)
    grid = [(rows[r], rows[r + 1], columns[c], columns[c + 1]) for r in range(4) for c in range(5)]
    raw = patches.tobytes()
    size = BLOCK * 768
    blocks = [deflate_block(raw[at : at + size].ljust(size, b"\0"), DEFAULT_LEVEL) for at in range(0, len(raw), size)]
    values = {
        "tokens": [tokens.tobytes()],
        "loss_mask": [mask.tobytes()],
        "modality": [modality.tobytes()],
        "position": [position.tobytes()],
        "timestep_starts": [(np.arange(steps, dtype=np.int32) * 22).tobytes()],
        "reward": [reward.astype(np.float32).tobytes()],
        "patch_position": [np.tile(np.array(grid, np.uint8), (steps, 1)).tobytes()],
        "patches": blocks,
    }
    features = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=v)) for k, v in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def patchify(frames: object) -> object:
    """(T, 64, 80, 3) to (T * 20, 16, 16, 3)."""
    return frames.reshape(-1, 4, 16, 5, 16, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 16, 16, 3)


WAYS = {"ours": ours, "steps": tfds_steps, "graph": tfds_graph, "batched": tfds_batched, "bare": bare}


def compression_levels(inputs: list[Path]) -> list[dict[str, float]]:
    """Microseconds and bytes per timestep of every libdeflate level, over the patches of all games."""
    from gato_data.image_decoding import decode_and_fit
    from gato_data.image_fit import ImageFit
    from gato_pipelines.rlds.decode import EpisodeDecoder
    from gato_pipelines.rlds.directory import open_directory
    from gato_schemas.compression import deflate_block, inflate_block
    from gato_schemas.tfrecord import read_records

    blocks, timesteps, size = [], 0, BLOCK * 768
    for path in inputs:
        directory = open_directory(path)
        leaves = directory.features.select("steps/observation")
        for record in list(read_records(directory.splits["train"].shards[0].path))[:6]:
            images = EpisodeDecoder(leaves).decode(record.data).images["steps/observation"][:-1]
            frames = decode_and_fit(images, leaves[0].shape, ImageFit(height=HEIGHT, width=WIDTH))
            raw = patchify(frames).tobytes()
            blocks += [raw[at : at + size].ljust(size, b"\0") for at in range(0, len(raw), size)]
            timesteps += len(images)
    rows = []
    for level in range(1, 11):
        micro = 1e6 / timesteps
        start = cpu()
        packed = [deflate_block(block, level) for block in blocks]
        written = cpu()
        for block in packed:
            inflate_block(block, size)
        bytes_ = sum(map(len, packed)) / timesteps
        rows.append(
            {
                "level": level,
                "write_us": (written - start) * micro,
                "read_us": (cpu() - written) * micro,
                "bytes": bytes_,
            }
        )
    return rows


def show(results: dict[str, dict[str, float]], levels: list[dict[str, float]]) -> None:
    rates = {way: found["timesteps"] / found["seconds"] for way, found in results.items()}
    print(f"{'way':<8}{'timesteps':>11}{'CPU s':>8}{'timesteps / CPU s':>19}{'peak MB':>9}")
    for way, found in results.items():
        print(f"{way:<8}{found['timesteps']:>11,}{found['seconds']:>8.2f}{rates[way]:>19,.0f}{found['peak_mb']:>9,.0f}")
    for other in ("steps", "graph", "batched"):
        print(f"ours / {other}: {rates['ours'] / rates[other]:.2f}")
    print(f"bare / ours: {rates['bare'] / rates['ours']:.2f}")
    if levels:
        print(f"\n{'level':<6}{'write us':>9}{'read us':>9}{'bytes a timestep':>18}")
        for row in levels:
            print(f"{row['level']:<6}{row['write_us']:>9.1f}{row['read_us']:>9.1f}{row['bytes']:>18,.0f}")


if __name__ == "__main__":
    main()
