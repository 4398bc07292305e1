"""Frames per CPU second from a LeRobot dataset to tokens in shards, beside a bare loop over the same video.

    ours      the whole `gato-data ingest lerobot`: Beam, planning pass, tokens, statistics, distinct patches, index
    ours-raw  the same, with patches written as they are
    bare      only what cannot be avoided: PyAV decodes, OpenCV resizes, patches are written as they are
    packed    the same, with patches deflated in blocks before they are written
    lerobot   LeRobot's own dataset, item by item, resized and written like `bare`; where lerobot is installed

All run over one v3.0 dataset of 24 episodes made here, 2,400 frames of a moving scene in one file, and over one of 2
episodes: each in a process of its own, in turn, on one thread; the fastest of `--rounds` counts. CPU time is that of
the process, without imports. What a frame costs is told from the difference of both, what a run costs before its first
frame from what is left: Beam's start, planning and the manifest are paid once, however long a dataset is.

    python benchmarks/video.py
    python benchmarks/video.py --sizes 240x320,480x640 --json video.json
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LONG, SHORT = 24, 2
"""Episodes of the two datasets."""
LENGTH = 100
"""Frames of an episode."""
CODECS: dict[str, tuple[str, dict[str, str]]] = {
    "h264, GOP 2": ("libx264", {"g": "2", "crf": "23"}),
    "h264, GOP 250": ("libx264", {"g": "250", "crf": "23"}),
    "av1, GOP 2": ("libsvtav1", {"g": "2", "crf": "30", "preset": "12"}),
}
FITTED = {(240, 320): (240, 320), (480, 640): (240, 320)}
"""Sizes that are measured, and what frames are resized to."""
BLOCK = 256 * 768


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="240x320,480x640", help="height and width of the frames")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, the fastest counts (default 3)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--input", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        with TemporaryDirectory() as out:
            print(json.dumps({"seconds": WAYS[args.way](args.input, Path(out))}))
        return
    ways = [way for way in WAYS if way != "lerobot" or find_spec("lerobot")]
    if "lerobot" not in ways:
        print("lerobot is not installed: its loader is not measured")
    results: list[dict[str, Any]] = []
    for size in (tuple(map(int, text.split("x"))) for text in args.sizes.split(",")):
        for name, (codec, options) in CODECS.items():
            with TemporaryDirectory() as folder:
                seconds = {}
                for episodes in (LONG, SHORT):
                    dataset = make(Path(folder) / f"scene-{episodes}", (size[0], size[1]), codec, options, episodes)
                    runs = [{way: run(way, dataset) for way in ways} for _ in range(args.rounds)]
                    seconds[episodes] = {way: min(found[way] for found in runs) for way in ways}
            a_frame = {way: (seconds[LONG][way] - seconds[SHORT][way]) / (LONG - SHORT) / LENGTH for way in ways}
            before = {way: seconds[SHORT][way] - a_frame[way] * SHORT * LENGTH for way in ways}
            results.append(
                {
                    "size": "x".join(map(str, size)),
                    "codec": name,
                    "seconds": seconds[LONG],
                    "seconds_a_frame": a_frame,
                    "seconds_before_the_first": before,
                }
            )
            show(results[-1])
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


LIKE = (("ours", "packed"), ("ours-raw", "bare"), ("ours-raw", "lerobot"))
"""Ways that write the same kind of patches."""


def show(result: dict[str, Any]) -> None:
    whole, a_frame, before = (result[name] for name in ("seconds", "seconds_a_frame", "seconds_before_the_first"))
    print(f"{result['size']}, {result['codec']}")
    for way, seconds in whole.items():
        rates = f"{LONG * LENGTH / seconds:8,.0f} frames a CPU second, {1 / a_frame[way]:8,.0f} once begun"
        print(f"  {way:<9}{rates}, {before[way]:5.2f} s before the first")
    for one, other in [(one, other) for one, other in LIKE if other in whole]:
        print(f"  {one} / {other}: {whole[one] / whole[other]:.2f}, once begun {a_frame[one] / a_frame[other]:.2f}")
    print(flush=True)


class Scene:
    """Frames of one camera that pans over smooth noise, with a square and a disc that move."""

    def __init__(self, size: tuple[int, int], frames: int) -> None:
        import cv2
        import numpy as np

        self.shape = (frames, *size, 3)
        noise = np.random.default_rng(0).integers(0, 256, (2 * size[0], 2 * size[1], 3), dtype=np.uint8)
        self._wide = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)

    def __iter__(self) -> Iterator[Any]:
        import cv2

        frames, height, width, _ = self.shape
        for number in range(frames):
            down, right = number // 8 % height, number // 4 % width
            frame = self._wide[down : down + height, right : right + width].copy()
            top, left = (int(side * (0.4 + 0.3 * math.sin(number / 20 + side))) for side in (height, width))
            cv2.rectangle(frame, (left, top), (left + width // 5, top + height // 5), (200, 30, 40), -1)
            cv2.circle(frame, (number * 2 % width, height * 3 // 4), height // 12, (20, 200, 60), -1)
            yield frame


def make(root: Path, size: tuple[int, int], codec: str, options: dict[str, str], episodes: int) -> Path:
    """A dataset of one camera, all episodes in one file."""
    sys.path.insert(0, str(ROOT))
    from tests.lerobot_inputs import columns, write_v3

    rows = [columns(LENGTH, episode, episode * LENGTH) for episode in range(episodes)]
    frames = Scene(size, episodes * LENGTH)
    return write_v3(root, rows, frames=frames, codec=codec, options=options, total_frames=episodes * LENGTH)


def run(way: str, dataset: Path) -> float:
    """CPU seconds of one way in a fresh process."""
    command = [sys.executable, __file__, "--way", way, "--input", str(dataset)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def ours(dataset: Path, out: Path) -> float:
    return ingested(dataset, out, "zlib")


def ours_raw(dataset: Path, out: Path) -> float:
    return ingested(dataset, out, "raw")


def ingested(dataset: Path, out: Path, encoding: str) -> float:
    import apache_beam  # noqa: F401  (start-up is not what is compared)
    import av  # noqa: F401
    import cv2  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    from gato_pipelines.ingest.run import IngestSettings
    from gato_pipelines.ingest.run import run as ingest

    start = time.process_time()
    settings = IngestSettings(workers=1, patch_encoding=encoding)
    summary = ingest("lerobot", {"image_size": fitted(dataset)}, dataset, out / "dataset", settings)
    assert summary.manifest.splits["train"].totals.timesteps == described(dataset)["total_frames"]
    return time.process_time() - start


def bare(dataset: Path, out: Path) -> float:
    return looped(dataset, out, packs=False)


def packed(dataset: Path, out: Path) -> float:
    return looped(dataset, out, packs=True)


def looped(dataset: Path, out: Path, *, packs: bool) -> float:
    """The loop that anybody would write."""
    import av
    import cv2

    from gato_schemas.compression import DEFAULT_LEVEL, deflate_block

    cv2.setNumThreads(0)
    (path,) = dataset.rglob("*.mp4")
    height, width = fitted(dataset)
    start, count = time.process_time(), 0
    with av.open(str(path)) as file, (out / "patches").open("wb") as written:
        file.streams.video[0].codec_context.thread_count = 1
        for frame in file.decode(video=0):
            image = frame.to_ndarray(format="rgb24")
            if image.shape[:2] != (height, width):
                image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            write(written, image, (lambda block: deflate_block(block, DEFAULT_LEVEL)) if packs else bytes)
            count += 1
    assert count == described(dataset)["total_frames"]
    return time.process_time() - start


def write(file: Any, image: Any, pack: Any) -> None:
    """The patches of one image, in blocks."""
    height, width = image.shape[0] // 16, image.shape[1] // 16
    content = image.reshape(height, 16, width, 16, 3).swapaxes(1, 2).tobytes()
    for first, last in pairwise([*range(0, len(content), BLOCK), len(content)]):
        file.write(pack(content[first:last]))


def lerobot(dataset: Path, out: Path) -> float:
    """LeRobot's own dataset, item by item."""
    import cv2
    import numpy as np
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    loaded = LeRobotDataset("benchmark/scene", root=dataset)
    height, width = fitted(dataset)
    start = time.process_time()
    with (out / "patches").open("wb") as written:
        for number in range(len(loaded)):
            frame = loaded[number]["observation.images.top"].permute(1, 2, 0).numpy()
            image = cv2.resize(np.rint(frame * 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA)
            write(written, image, bytes)
    return time.process_time() - start


def described(dataset: Path) -> dict[str, Any]:
    """What info.json says."""
    info: dict[str, Any] = json.loads((dataset / "meta/info.json").read_text())
    return info


def fitted(dataset: Path) -> tuple[int, int]:
    """Height and width that frames are resized to."""
    height, width, _ = described(dataset)["features"]["observation.images.top"]["shape"]
    return FITTED.get((height, width), (height, width))


WAYS = {"ours": ours, "ours-raw": ours_raw, "bare": bare, "packed": packed, "lerobot": lerobot}

if __name__ == "__main__":
    main()
