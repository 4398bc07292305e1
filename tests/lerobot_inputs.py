"""Small LeRobot datasets, v2.1 and v3.0, of any shape: rows by pyarrow, videos by PyAV."""

import json
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

CAMERA = "observation.images.top"
FPS = 10


def write_video(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    *,
    fps: int = FPS,
    codec: str = "libx264",
    times: Sequence[int] | None = None,
    options: Mapping[str, str] | None = None,
    pixels: str = "yuv420p",
) -> Path:
    """A video of frames (H, W, 3); `times` are their numbers, where these are not 0, 1, 2, ..."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = None
        for number, frame in enumerate(frames):
            if stream is None:
                stream = file.add_stream(codec, rate=fps, options=dict(options or {"g": "2", "crf": "20"}))
                stream.height, stream.width, stream.pix_fmt = *frame.shape[:2], pixels
                stream.codec_context.time_base = Fraction(1, fps)
            shown = av.VideoFrame.from_ndarray(frame, format="rgb24")
            shown.pts, shown.time_base = (times or range(1 << 30))[number], Fraction(1, fps)
            file.mux(stream.encode(shown))
        if stream is not None:
            file.mux(stream.encode(None))
    return path


def moving(length: int, seed: int = 0, size: tuple[int, int] = (32, 48)) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) of smooth colours that move, so that no two are alike."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    waves = [rows * 3 + seed * 31, columns * 2 + seed * 17, rows + columns]
    return np.stack([np.stack([(wave + 9 * t) % 256 for wave in waves], -1) for t in range(length)]).astype(np.uint8)


def feature(dtype: str, *shape: int, **more: Any) -> dict[str, Any]:
    """One entry of `features`."""
    return {"dtype": dtype, "shape": list(shape), "names": None, **more}


def columns(length: int, episode: int, first: int = 0, task: int = 0) -> dict[str, Any]:
    """The rows of an episode: 3 numbers of state, 2 of action, and what lerobot counts."""
    generator = np.random.default_rng(episode)
    return {
        "observation.state": list(generator.normal(size=(length, 3)).astype(np.float32)),
        "action": list(generator.uniform(-1, 1, (length, 2)).astype(np.float32)),
        "timestamp": (np.arange(length) / FPS).astype(np.float32),
        "frame_index": np.arange(length),
        "episode_index": np.full(length, episode),
        "index": np.arange(length) + first,
        "task_index": np.full(length, task),
    }


FEATURES = {
    "observation.state": feature("float32", 3),
    "action": feature("float32", 2),
    **{name: feature("int64", 1) for name in ("frame_index", "episode_index", "index", "task_index")},
    "timestamp": feature("float32", 1),
}
TASKS = ("Lift the block.", "Put it down.")


def write_v2(
    root: Path,
    episodes: Mapping[int, Mapping[str, Any]],
    *,
    features: Mapping[str, Any] | None = None,
    videos: Mapping[int, NDArray[np.uint8]] | None = None,
    tasks: Sequence[str] = TASKS,
    **info: Any,
) -> Path:
    """A v2.1 dataset of rows by number of the episode, with frames of `CAMERA` where there are `videos`."""
    features = dict(features or FEATURES)
    if videos:
        features[CAMERA] = feature("video", *next(iter(videos.values())).shape[1:])
    for number, rows in episodes.items():
        path = root / f"data/chunk-000/episode_{number:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(dict(rows)), path)
    for number, frames in (videos or {}).items():
        write_video(root / f"videos/chunk-000/{CAMERA}/episode_{number:06d}.mp4", frames)
    lines = [{"episode_index": n, "length": len(rows["frame_index"]), "tasks": []} for n, rows in episodes.items()]
    described(root, features, "v2.1", **info)
    (root / "meta/episodes.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    texts = [{"task_index": number, "task": text} for number, text in enumerate(tasks)]
    (root / "meta/tasks.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in texts))
    return root


def described(root: Path, features: Mapping[str, Any], version: str, **info: Any) -> None:
    """`meta/info.json`."""
    (root / "meta").mkdir(parents=True, exist_ok=True)
    if version == "v3.0":
        data, video = (
            "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "{video_key}/chunk-{chunk_index:03d}",
        )
        video = f"videos/{video}/file-{{file_index:03d}}.mp4"
    else:
        data = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
        video = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    content = {
        "codebase_version": version,
        "fps": FPS,
        "features": dict(features),
        "data_path": data,
        "video_path": video,
        "chunks_size": 1000,
        **info,
    }
    (root / "meta/info.json").write_text(json.dumps(content))


def write_v3(
    root: Path,
    episodes: Sequence[Mapping[str, Any]],
    *,
    files: Sequence[int] | None = None,
    said: Sequence[int] | None = None,
    features: Mapping[str, Any] | None = None,
    frames: NDArray[np.uint8] | None = None,
    begins: Sequence[float] | None = None,
    ends: Sequence[float] | None = None,
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,
    **info: Any,
) -> Path:
    """A v3.0 dataset.

    Args:
        root: its folder.
        episodes: rows of each.
        files: in which data file each is; all in one if None.
        said: in which one `meta/episodes` says that it is.
        features: of `info.json`.
        frames: of `CAMERA`, of all episodes one after the other in one file.
        begins, ends: seconds in that file as `meta/episodes` says.
        codec, options: of the encoder.
        info: more of `info.json`.
    """
    features, files = dict(features or FEATURES), files or [0] * len(episodes)
    for number in sorted(set(files)):
        tables = [pa.table(dict(rows)) for rows, file in zip(episodes, files, strict=True) if file == number]
        path = root / f"data/chunk-000/file-{number:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.concat_tables(tables), path)
    lengths = [len(rows["frame_index"]) for rows in episodes]
    stops = np.cumsum(lengths)
    table: dict[str, Any] = {
        "episode_index": [int(rows["episode_index"][0]) for rows in episodes],
        "length": lengths,
        "data/chunk_index": [0] * len(episodes),
        "data/file_index": list(said or files),
    }
    if frames is not None:
        fps = info.get("fps", FPS)
        features[CAMERA] = feature("video", *frames.shape[1:])
        write_video(root / f"videos/{CAMERA}/chunk-000/file-000.mp4", frames, fps=fps, codec=codec, options=options)
        table |= {f"videos/{CAMERA}/{side}_index": [0] * len(episodes) for side in ("chunk", "file")}
        table[f"videos/{CAMERA}/from_timestamp"] = list(begins or (stops - lengths) / fps)
        table[f"videos/{CAMERA}/to_timestamp"] = list(ends or stops / fps)
    described(root, features, "v3.0", **info)
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    pq.write_table(pa.table(table), root / "meta/episodes/chunk-000/file-000.parquet")
    texts = pa.table({"task_index": list(range(len(TASKS))), "task": list(TASKS)})
    pq.write_table(texts, root / "meta/tasks.parquet")
    return root
