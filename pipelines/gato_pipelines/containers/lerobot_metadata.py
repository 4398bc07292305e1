"""What else the `meta` folder of a LeRobot dataset says: where episodes lie, texts of tasks, statistics.

meta/episodes.jsonl, tasks.jsonl             v2.0, v2.1
meta/episodes/*/*.parquet, tasks.parquet     v3.0
meta/stats.json, episodes_stats.jsonl        the least and the largest values: v2.0 and v3.0, v2.1
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from gato_data.errors import InputError
from gato_pipelines.containers.lerobot_info import (
    MAX_EPISODES,
    Feature,
    Info,
    lines,
    raw_lines,
    reading,
    rendered,
    whole_file,
)
from gato_pipelines.containers.parquet import read_table
from gato_pipelines.files.streams import import_pyarrow
from gato_schemas.bounds import Natural

_FIELDS = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")


@dataclass(frozen=True, eq=False)
class VideoPlaces:
    """Where the episodes lie in the files of one camera: int64 (N, 2) of chunk and file, and seconds (N,) each."""

    files: NDArray[np.int64]
    begins: NDArray[np.float64]
    ends: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Episodes:
    """All episodes by ascending number; of v2 the number alone says where they lie.

    Attributes:
        info: of their dataset.
        numbers: int64 (N,).
        lengths: rows of each, int64 (N,).
        data: chunk and file of the rows, int64 (N, 2); None in v2.
        videos: by camera; empty in v2.
    """

    info: Info
    numbers: NDArray[np.int64]
    lengths: NDArray[np.int64]
    data: NDArray[np.int64] | None
    videos: Mapping[str, VideoPlaces]

    def data_file(self, at: int) -> str:
        """Where the rows of the episode at a place should be."""
        return self._file(self.info.data_path, at, None if self.data is None else self.data[at])

    def video_file(self, at: int, camera: str) -> str:
        """Where the frames of a camera are."""
        where = self.videos[camera].files[at] if camera in self.videos else None
        return self._file(self.info.video_path or "", at, where, camera)

    def seconds_in_file(self, at: int, camera: str) -> tuple[float, float | None]:
        """When an episode begins in its video file, and when it ends; None where the file does with it."""
        if (places := self.videos.get(camera)) is None:
            return 0.0, None
        return float(places.begins[at]), float(places.ends[at])

    def _file(self, template: str, at: int, where: NDArray[np.int64] | None, camera: str = "") -> str:
        number = int(self.numbers[at])
        if where is None:
            chunk = number // self.info.chunks_size
            return rendered(template, video_key=camera, episode_chunk=chunk, episode_index=number)
        return rendered(template, video_key=camera, chunk_index=int(where[0]), file_index=int(where[1]))


class _EpisodeLine(msgspec.Struct, frozen=True):
    episode_index: Natural
    length: Natural


class _TaskLine(msgspec.Struct, frozen=True):
    task_index: int
    task: str


def read_episodes(root: Path, info: Info) -> Episodes:
    """All episodes.

    Raises:
        InputError: they cannot be read, there is none, or one is there twice.
    """
    found = _episodes_v3(root, info) if info.is_v3 else _episodes_v2(root, info)
    numbers = found.numbers
    if not len(numbers):
        raise InputError(f"the LeRobot dataset {root} has no episode")
    if (numbers[1:] == numbers[:-1]).any() or numbers[0] < 0 or (found.lengths < 0).any():
        raise InputError(
            f"the LeRobot dataset {root} describes an episode twice, or one of a number below 0: mend meta"
        )
    return found


def _episodes_v2(root: Path, info: Info) -> Episodes:
    path = root / "meta/episodes.jsonl"
    with reading(path, root):
        rows = [(line.episode_index, line.length) for line in lines(path, _EpisodeLine)]
        table = np.array(sorted(rows), np.int64).reshape(-1, 2)
    return Episodes(info, table[:, 0], table[:, 1], None, {})


def _episodes_v3(root: Path, info: Info) -> Episodes:
    """Of all shards, whose names repeat in other folders."""
    pyarrow = import_pyarrow()
    folder = root / "meta/episodes"
    cameras = [name for name, feature in info.features.items() if feature.dtype == "video"]
    columns = ["episode_index", "length", "data/chunk_index", "data/file_index"]
    columns += [f"videos/{name}/{field}" for name in cameras for field in _FIELDS]
    tables = []
    for path in sorted(folder.rglob("*.parquet")):
        with reading(path, root):
            tables.append(read_table(path, columns))
            if sum(table.num_rows for table in tables) > MAX_EPISODES:
                raise ValueError(f"there are more than {MAX_EPISODES} episodes")
    if not tables:
        raise InputError(f"{folder} holds no parquet file: download it again")
    with reading(folder, root):
        table = pyarrow.concat_tables(tables)
        column = {name: table.column(name).to_numpy() for name in columns}
    order = np.argsort(column["episode_index"], kind="stable")

    def whole(*names: str) -> NDArray[np.int64]:
        return np.stack([column[name][order].astype(np.int64) for name in names], axis=1)

    videos = {}
    for name in cameras:
        chunk, file, begin, end = (f"videos/{name}/{field}" for field in _FIELDS)
        begins, ends = (column[side][order].astype(np.float64) for side in (begin, end))
        files = whole(chunk, file)
        videos[name] = VideoPlaces(files, begins, _before_next(files, begins, ends))
    rows = whole("episode_index", "length")
    return Episodes(info, rows[:, 0], rows[:, 1], whole("data/chunk_index", "data/file_index"), videos)


def _before_next(
    files: NDArray[np.int64], begins: NDArray[np.float64], ends: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The ends of episodes, none of them after the beginning of the next one in the same file."""
    order = np.lexsort((begins, files[:, 1], files[:, 0]))
    this, following = order[:-1], order[1:]
    same = (files[this] == files[following]).all(axis=1) & (begins[this] < begins[following])
    found = ends.copy()
    found[this[same]] = np.minimum(ends[this[same]], begins[following[same]])
    return found


def read_tasks(root: Path, info: Info) -> dict[int, str]:
    """The texts of tasks by their index, which need not be their row.

    Raises:
        InputError: they cannot be read.
    """
    path = root / ("meta/tasks.parquet" if info.is_v3 else "meta/tasks.jsonl")
    with reading(path, root):
        if not info.is_v3:
            return {line.task_index: line.task for line in lines(path, _TaskLine)}
        table = read_table(path)
        others = [name for name in table.schema.names if name != "task_index"]
        # what pandas wrote has its index, the text, under a name of its own
        text = next((name for name in ("task", "__index_level_0__") if name in others), others[0] if others else "task")
        pairs = zip(table.column("task_index").to_pylist(), table.column(text).to_pylist(), strict=True)
        return {int(index): str(task) for index, task in pairs}


def read_ranges(root: Path, info: Info) -> dict[str, tuple[list[float], list[float]]]:
    """The least and the largest value of every element of a column, by its name; pictures are left out.

    Raises:
        InputError: they cannot be read.
    """
    path = root / ("meta/episodes_stats.jsonl" if info.codebase_version == "v2.1" else "meta/stats.json")
    found: dict[str, list[NDArray[np.float64]]] = {}
    with reading(path, root):
        # Python's own reader takes the NaN that others wrote
        if path.suffix == ".json":
            entries = iter([json.loads(whole_file(path))])
        else:
            entries = (json.loads(line)["stats"] for line in raw_lines(path))
        for entry in entries:
            for name, numbers in entry.items():
                if info.features.get(name, Feature("video")).dtype in ("image", "video", "string"):
                    continue
                if not {"min", "max"} <= numbers.keys():
                    raise ValueError(f"it has no min and max of {name!r}")
                low, high = (np.array(numbers[side], np.float64).reshape(-1) for side in ("min", "max"))
                known = found.setdefault(name, [low, high])
                found[name] = [np.fmin(known[0], low), np.fmax(known[1], high)]
    return {name: (low.tolist(), high.tolist()) for name, (low, high) in found.items()}
