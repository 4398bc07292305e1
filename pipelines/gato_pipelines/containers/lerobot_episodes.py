"""Episodes of a LeRobot dataset out of its rows and videos, one after the other."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_pipelines.containers.arrow_lists import as_numbers, images_of, tensor_of, texts_of
from gato_pipelines.containers.lerobot_features import EPISODE_ID, INSTRUCTION
from gato_pipelines.containers.lerobot_metadata import Episodes
from gato_pipelines.containers.lerobot_rows import RowFiles
from gato_pipelines.containers.video import Camera
from gato_pipelines.containers.video_frames import CameraFiles, EpisodeFrames
from gato_pipelines.rlds.episode import EncodedImage, Frames, RldsEpisode
from gato_pipelines.rlds.features import Kind, Leaf
from gato_schemas.account import Note

_TASK, _FRAME, _TIME = "task_index", "frame_index", "timestamp"
_STRAY = Note(
    "read",
    "episodes whose timestamps stray by more than half a frame from their frame numbers, which count instead",
)


class LerobotEpisodes:
    """Reads episodes with some of their leaves; what was read last of every file stays open."""

    def __init__(
        self, root: Path, places: Episodes, names: Mapping[str, str], tasks: Mapping[int, str], leaves: Sequence[Leaf]
    ) -> None:
        """Open nothing yet.

        Args:
            root: of the dataset.
            places: of its episodes.
            names: column of every leaf that has one, by path.
            tasks: texts by number.
            leaves: those wanted.
        """
        self._root, self._places, self._names, self._tasks, self._leaves = root, places, names, tasks, leaves
        self._fps = places.info.fps
        stored = [names[leaf.path] for leaf in leaves if leaf.path in names and leaf.kind != Kind.VIDEO]
        columns = tuple(dict.fromkeys((*stored, _FRAME, _TIME, _TASK)))
        self._rows = RowFiles(root, columns, searches=places.info.is_v3)
        self._cameras = {leaf.path: CameraFiles(self._camera(leaf)) for leaf in leaves if leaf.kind == Kind.VIDEO}

    def close(self) -> None:
        """Close what is open."""
        self._rows.close()
        for files in self._cameras.values():
            files.close()

    def _camera(self, leaf: Leaf) -> Camera:
        height, width, channels = (side or 0 for side in leaf.shape)
        return Camera(self._fps, (height, width, channels), leaf.is_depth)

    def episode(self, at: int) -> RldsEpisode:
        """The episode at a place.

        Raises:
            EpisodeError: its rows are not as described, or damaged; frames are decoded later.
        """
        number, length = int(self._places.numbers[at]), int(self._places.lengths[at])
        table = self._rows.rows(number, length, self._places.data_file(at))
        frames = _column(table, _FRAME, "int64")
        if (np.diff(frames) <= 0).any():
            order = np.argsort(frames, kind="stable")
            table, frames = table.take(order), frames[order]
        if (np.diff(frames) <= 0).any():
            raise EpisodeError(f"episode {number} has rows of one frame_index twice", stage="read")
        seconds, notes = _seconds(table, frames, self._fps)
        tensors: dict[str, NDArray[Any]] = {}
        images: dict[str, Sequence[EncodedImage]] = {}
        texts: dict[str, Sequence[str]] = {}
        videos: dict[str, Frames] = {}
        for leaf in self._leaves:
            if leaf.path == INSTRUCTION:
                texts[leaf.path] = self._instructions(table)
            elif leaf.kind == Kind.VIDEO:
                videos[leaf.path] = self._frames(at, leaf, seconds)
            elif leaf.path in self._names:
                column = table.column(self._names[leaf.path]).combine_chunks()
                if leaf.kind == Kind.IMAGE:
                    images[leaf.path] = images_of(leaf.path, column)
                elif leaf.kind == Kind.TEXT:
                    texts[leaf.path] = texts_of(leaf.path, column)
                else:
                    values = tensor_of(leaf.path, column, tuple(side or 0 for side in leaf.shape))
                    tensors[leaf.path] = _as_declared(values, leaf)
        return RldsEpisode(
            num_timesteps=length,
            tensors=tensors,
            images=images,
            frames=videos,
            texts=texts,
            episode={EPISODE_ID: np.asarray(number, np.int64)},
            notes=notes if videos else (),
        )

    def _instructions(self, table: Any) -> list[str]:
        """The text of the task of every row, which may change within an episode."""
        indexes: list[int] = _column(table, _TASK, "int64").tolist()
        for row, index in enumerate(indexes):
            if index not in self._tasks:
                what = f"row {row} has task_index {index}, which is none of the {len(self._tasks)} in meta"
                raise EpisodeError(
                    f"{what} ({min(self._tasks, default=0)} to {max(self._tasks, default=0)})", stage="read"
                )
        return [self._tasks[index] for index in indexes]

    def _frames(self, at: int, leaf: Leaf, seconds: NDArray[np.float64]) -> EpisodeFrames:
        """The frames of one camera: those between the beginning of the episode in its file and the end."""
        camera = self._names[leaf.path]
        name = self._places.video_file(at, camera)
        begin, end = self._places.seconds_in_file(at, camera)
        wanted = np.rint((begin + seconds) * self._fps).astype(np.int64)
        first, stop = round(begin * self._fps), None if end is None else round(end * self._fps)
        return EpisodeFrames(self._cameras[leaf.path], self._root / name, name, wanted, first, stop)


def _as_declared(values: NDArray[Any], leaf: Leaf) -> NDArray[Any]:
    """Whole numbers, floats or truth values as `info.json` declares them, as LeRobot casts them, if none changes."""
    if leaf.kind != Kind.TENSOR or values.dtype.kind == np.dtype(leaf.dtype).kind:
        return values
    with np.errstate(invalid="ignore"):
        found = values.astype(leaf.dtype)
    return found if np.array_equal(found, values) else values


def _column(table: Any, name: str, dtype: str) -> NDArray[Any]:
    return as_numbers(name, table.column(name).combine_chunks()).astype(dtype)


def _seconds(table: Any, frames: NDArray[np.int64], fps: float) -> tuple[NDArray[np.float64], tuple[Note, ...]]:
    """When every row was shown, from the beginning of the episode: by its timestamp unless that strays."""
    seconds = _column(table, _TIME, "float64")
    regular = frames / fps
    strays = not (np.abs(seconds - regular) * fps <= 0.5).all()
    return (regular, (_STRAY,)) if strays else (seconds, ())
