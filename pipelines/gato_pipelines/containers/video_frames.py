"""The frames of episodes in the files of a camera: those of its rows, by their times, no more and no fewer."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_data.image_fit import Images
from gato_pipelines.containers.video import Camera, VideoFile
from gato_pipelines.rlds.episode import Frames


@dataclass(eq=False)
class CameraFiles:
    """The files of one camera, of which the last one used stays open."""

    camera: Camera
    _path: Path | None = None
    _file: VideoFile | None = field(default=None, repr=False)

    def open(self, path: Path, name: str) -> VideoFile:
        """A file, open; the one before is closed.

        Raises:
            EpisodeError: as for `VideoFile`.
        """
        if self._file is None or self._path != path:
            self.close()
            self._file, self._path = VideoFile(path, name, self.camera), path
        return self._file

    def close(self) -> None:
        """Close what is open."""
        if self._file is not None:
            self._file.close()
        self._file = self._path = None


@dataclass(frozen=True, eq=False)
class EpisodeFrames(Frames):
    """The frames of one episode.

    Attributes:
        files: of the camera.
        path: of the file that they are in.
        name: of that file, for errors.
        wanted: int64 (T,), ascending numbers of frames.
        first, stop: frames [first, stop) of the file are the episode's; all that are left where
            `stop` is None.
    """

    files: CameraFiles
    path: Path
    name: str
    wanted: NDArray[np.int64]
    first: int
    stop: int | None

    def __len__(self) -> int:
        return len(self.wanted)

    def __iter__(self) -> Iterator[Images]:
        file = self.files.open(self.path, self.name)
        at = count = 0
        for number, frame in file.between(self.first, self.stop):
            count += 1
            if at < len(self.wanted) and number == self.wanted[at]:
                at += 1
                yield file.pixels(frame)
        if count != len(self.wanted):
            what = f"{self.name} has {count} frames of the episode, which has {len(self.wanted)} rows"
            raise EpisodeError(what, stage="decode")
        if at < len(self.wanted):
            what = f"{self.name} has no frame number {self.wanted[at]}, which is that of row {at}"
            raise EpisodeError(f"{what} by its time", stage="decode")

    def check(self) -> None:
        """Check that the file opens, with frames of the size that is declared."""
        self.files.open(self.path, self.name)
