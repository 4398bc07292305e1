"""Small inputs in formats of others: as much of each as tells what it is."""

import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.rlds_inputs import moving, write


def _hdf5(path: Path, members: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, value in members.items():
            file[name] = value
    return path


def _parquet(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def _text(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def lerobot(
    folder: Path, version: str, meta: str = "meta", rows: str = "data/chunk-000/episode_000000.parquet"
) -> Path:
    """The description of a dataset, and the rows of one episode."""
    _text(folder / meta / "info.json", {"codebase_version": version, "fps": 30})
    _parquet(
        folder / rows, **{"observation.state": [[0.0]], "action": [[0.0]], "frame_index": [0], "episode_index": [0]}
    )
    return folder


def _raw(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


_REPLAY = {"observations": [[[0.0]]], "actions": [[[0.0]]], "rewards": [[1.0]], "dones": [[True]]}


class _Trap:
    """What runs code where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("unpickled"),))


FOREIGN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "lerobot-1.6": (
        lambda place: lerobot(place, "v1.6", "meta_data", "data/train-00000-of-00001.parquet"),
        r"a LeRobot v1\.6 dataset \(meta_data/info\.json\), older than v2\.0: convert it with LeRobot's own scripts",
    ),
    "lerobot-rows": (
        lambda place: lerobot(place, "v2.1", rows="rows.parquet") / "rows.parquet",
        r"rows of a LeRobot dataset \(columns episode_index, frame_index\), which is read whole: give its folder",
    ),
    "minari-of-another-name": (
        lambda place: _hdf5(place / "door.hdf5", {"episode_0/actions": np.zeros((2, 3))}),
        r"a Minari file \(episode_0\), which has to be called data/main_data\.hdf5: rename it",
    ),
    "decision-transformer": (
        lambda place: _parquet(place / "data" / "train-00000-of-00001.parquet", **_REPLAY),
        r"trajectories of the Decision Transformer \(columns actions, observations, rewards\), which is not read yet",
    ),
    "decision-transformer-pickle": (
        lambda place: _raw(place / "hopper-medium-v2.pkl", pickle.dumps([_Trap()])),
        r"a pickle \(its first bytes\), which is never opened because it can run code: convert it",
    ),
    "pickle-packed": (
        lambda place: _raw(place / "replay.pkl.gz", gzip.compress(pickle.dumps([_Trap()], 0))),
        r"a pickle \(replay\.pkl\.gz\), which is never opened",
    ),
    "pickle-folder": (
        lambda place: _raw(place / "replay" / "0.pickle", pickle.dumps([_Trap()], 2)).parent,
        r"a pickle \(0\.pickle\), which is never opened",
    ),
    "save-to-disk": (
        lambda place: (
            _raw(
                _text(_text(place / "state.json", {}).with_name("dataset_info.json"), {}).parent / "data.arrow", b""
            ).parent
        ),
        r"what Hugging Face's save_to_disk writes \(state\.json\), which is not read",
    ),
    "save-to-disk-splits": (
        lambda place: _text(place / "dataset_dict.json", {"splits": ["train"]}).parent,
        r"what Hugging Face's save_to_disk writes \(dataset_dict\.json\), which is not read",
    ),
    "webdataset": (
        lambda place: _raw(place / "00000.tar", bytes(257) + b"ustar" + bytes(250)),
        r"a tar archive \(its first bytes\), which is not unpacked here: unpack it, or give it to `gato-data",
    ),
    "webdataset-folder": (
        lambda place: _raw(place / "00000.tar", bytes(512)).parent,
        r"a tar archive \(00000\.tar\), which is not unpacked here",
    ),
    "packed": (
        lambda place: _raw(place / "d4rl.tar.gz", b"\x1f\x8b"),
        r"a packed archive \(d4rl\.tar\.gz\), which is not read: unpack",
    ),
    "imagefolder": (
        lambda place: _raw(place / "train" / "cat" / "0001.jpg", b"").parents[2],
        r"a set of pictures \(0001\.jpg\), which holds no episodes: give it to a source of documents, such as",
    ),
    "captions": (
        lambda place: _parquet(place / "train-00000-of-00001.parquet", image=[b""], caption=["a cat"]).parent,
        r"a set of pictures with texts \(columns caption, image\), which holds no episodes",
    ),
    "pages": (
        lambda place: _parquet(place / "0000.parquet", images=[[b""]], texts=[["a"]]),
        r"a set of interleaved pages \(columns images, texts\), which holds no episodes: .*ingest m3w`",
    ),
    "corpus": (
        lambda place: _text(place / "c4.jsonl", {"text": "once"}).parent,
        r"a set of texts \(c4\.jsonl\), which holds no episodes: .*ingest massivetext`",
    ),
    "zarr": (
        lambda place: _text(place / ".zgroup", {"zarr_format": 2}).parent,
        r"a Zarr store \(.*\), which is not read",
    ),
    "zarr-3": (
        lambda place: _text(place / "zarr.json", {"zarr_format": 3}).parent,
        r"a Zarr store \(.*\), which is not read",
    ),
    "video": (
        lambda place: _raw(place / "episode_0.mp4", bytes(4) + b"ftypisom"),
        r"a video without its actions \(its first bytes\), which is not read",
    ),
    "numpy": (
        lambda place: _raw(place / "episode_0.npz", b"PK\x03\x04").parent,
        r"arrays of NumPy \(episode_0\.npz\), which are not read",
    ),
    "rosbag": (
        lambda place: _raw(place / "a.bag", b"#ROSBAG V2.0\n"),
        r"a recording of ROS \(its first bytes\), which is not read",
    ),
    "rosbag-2": (
        lambda place: _raw(_text(place / "metadata.yaml", "").with_name("a_0.mcap"), b"\x89MCAP0\r\n").parent,
        r"a recording of ROS \(a_0\.mcap\), which is not read yet",
    ),
    "git-lfs": (
        lambda place: _text(place / "expert.hdf5", "version https://git-lfs.github.com/spec/v1\noid sha256:4d\n"),
        r"a Git LFS pointer, not the file itself \(its first bytes\), so run `git lfs pull` in its repository",
    ),
    "one-shard": (
        lambda place: next(write(place, [moving(0)]).glob("*.tfrecord-*")),
        r"one file of a TFDS dataset \(arm-train\.tfrecord-00000-of-00001\), which is read whole: give its folder",
    ),
    "one-json": (
        lambda place: write(place, [moving(0)]) / "features.json",
        r"one file of a TFDS dataset \(features\.json\), which is read whole: give its folder",
    ),
}
"""By name: what writes it into a folder and gives the input, and what is said of it."""
