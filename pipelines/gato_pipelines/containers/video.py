"""Videos, decoded once and in order: which frame belongs to a timestep is told by times, never by counting.

A frame of time t, in seconds, is number round(t * fps) of its file. Files are MP4 or Matroska,
told by their first bytes: FFmpeg would follow a playlist of that name to wherever it leads.
Decoding holds one group of pictures. A file is read on where the episode before ended; where an
episode begins elsewhere, its decoding starts at the keyframe before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, MissingPackageError
from gato_data.image_decoding import MAX_PIXELS
from gato_data.image_fit import Images
from gato_data.image_header import GRAY
from gato_pipelines.containers.mp4_size import check_samples
from gato_pipelines.remote.ranged import open_input, ranged_file

_FORMATS = ((4, b"ftyp", "mp4"), (0, b"\x1aE\xdf\xa3", "matroska"))
_SKIPPED = 256
"""Frames that are decoded without being wanted before a jump to a keyframe is cheaper."""


def import_av() -> ModuleType:
    """PyAV.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingPackageError('videos need PyAV: pip install "gato-data[video]"') from error
    module: ModuleType = av
    return module


def decoder_versions() -> dict[str, str]:
    """Versions of what decides the pixels of a decoded frame."""
    codec = ".".join(map(str, import_av().library_versions["libavcodec"]))
    return {"av": version("av"), "libavcodec": codec}


@dataclass(frozen=True, slots=True)
class Camera:
    """How the frames of a camera are read.

    Attributes:
        fps: frames in a second.
        shape: height, width and channels of a frame.
        is_depth: whether pixels are distances of 9 to 16 bits: the upper 8 of them are taken.
    """

    fps: float
    shape: tuple[int, int, int]
    is_depth: bool = False


class VideoFile:
    """One open file, which is read forwards, and anew from a keyframe where that is needed."""

    def __init__(self, path: Path, name: str, camera: Camera) -> None:
        """Open a file; `name` is what errors call it.

        Raises:
            EpisodeError: it is not there, no video, without a decoder, or its frames are of another
                size.
        """
        self.name, self._camera = name, camera
        if not path.is_file():
            raise EpisodeError(f"{name} is not there", stage="read")
        self._av = import_av()
        with self._reading():
            self._file, self._stream = _open(self._av, path, camera)
            self._reformatter = self._av.video.reformatter.VideoReformatter()
        self._frames: Iterator[Any] = iter(())
        self._held: tuple[int, Any] | None = None
        self._at = -1
        self._damaged = True

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def between(self, first: int, stop: int | None) -> Iterator[tuple[int, Any]]:
        """Frames [first, stop) with their numbers, in order; those after the last one where `stop` is None.

        Raises:
            EpisodeError: the file is damaged, or times of frames go back.
        """
        held = self._held[0] if self._held is not None else self._at + 1
        if self._damaged or first < held or first - held > _SKIPPED:
            yield from self._within(self._sought(first), first, stop)
        else:
            yield from self._within(self._onwards(), first, stop)

    def _within(self, frames: Iterator[tuple[int, Any]], first: int, stop: int | None) -> Iterator[tuple[int, Any]]:
        for number, frame in frames:
            if stop is not None and number >= stop:
                self._held = number, frame
                return
            if number >= first:
                yield number, frame

    def _onwards(self) -> Iterator[tuple[int, Any]]:
        if self._held is not None:
            held, self._held = self._held, None
            yield held
        self._damaged = True
        with self._reading():
            for frame in self._frames:
                number = self._number(frame)
                if number < self._at:
                    raise EpisodeError(f"{self.name}: times of frames go back at frame {number}", stage="decode")
                self._at, self._damaged = number, False
                yield number, frame
                self._damaged = True
        self._damaged = False

    def _sought(self, first: int) -> Iterator[tuple[int, Any]]:
        """Frames from the last keyframe on that is shown no later than frame `first`.

        Files are sought by the time of decoding, which with frames of both directions is before
        that of showing, so that a keyframe may turn out to be too late.
        """
        back = 0
        while True:
            target = max(first - back, 0)
            self._seek(target)
            frames = self._onwards()
            for number, frame in frames:
                if not frame.key_frame and target > 0:
                    continue  # its own keyframe is before the jump
                if number > first and target > 0:
                    break
                yield number, frame
                yield from frames
                return
            if target == 0:
                return
            back = max(2 * back, _SKIPPED)

    def _seek(self, number: int) -> None:
        self._held, self._at = None, -1
        with self._reading():
            start = self._stream.start_time or 0
            time = int(number / self._camera.fps / self._stream.time_base) if number else start
            self._file.seek(time, stream=self._stream)
            self._frames = self._file.decode(self._stream)
        self._damaged = False

    def _number(self, frame: Any) -> int:
        if frame.time is None:
            raise EpisodeError(f"{self.name} has frames without a time", stage="decode")
        return round(float(frame.time) * self._camera.fps)

    def pixels(self, frame: Any) -> Images:
        """A decoded frame, uint8 (H, W) if gray, else (H, W, 3).

        Raises:
            EpisodeError: it is of another size than the camera's, or the decoder made up what was
                damaged.
        """
        if frame.is_corrupt:
            raise EpisodeError(f"{self.name} is damaged at {float(frame.time):.3f} s", stage="decode")
        height, width, channels = self._camera.shape
        if (frame.height, frame.width) != (height, width):
            what = f"{self.name} has a frame of {frame.height}x{frame.width} pixels"
            raise EpisodeError(f"{what}, {height}x{width} was expected", stage="decode")
        with self._reading():
            if self._camera.is_depth:
                return _upper_bits(frame)
            wanted = "gray" if channels == GRAY else "rgb24"
            found: Images = self._reformatter.reformat(frame, format=wanted).to_ndarray()
            return found

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Whatever FFmpeg raises in here means that the file is damaged."""
        try:
            yield
        except EpisodeError:
            raise
        except (self._av.FFmpegError, OSError, ValueError, TypeError, ArithmeticError) as error:
            reason = getattr(error, "strerror", None) or error
            raise EpisodeError(f"{self.name} cannot be decoded ({reason})", stage="decode") from error


def _open(av: ModuleType, path: Path, camera: Camera) -> tuple[Any, Any]:
    """A file and its only video stream, whose decoder runs on one thread: every worker has a core of its own."""
    with open_input(path) as file:
        head = file.read(8)
        name = next((name for at, magic, name in _FORMATS if head[at : at + len(magic)] == magic), "")
        if not name:
            raise EpisodeError("it is neither MP4 nor Matroska", stage="decode")
        if name == "mp4":
            check_samples(file)
    read = ranged_file(path) or str(path.absolute())
    opened = av.open(read, format=name, options={"protocol_whitelist": "file"})
    try:
        if len(opened.streams.video) != 1:
            raise EpisodeError(f"it has {len(opened.streams.video)} video streams, one is wanted", stage="decode")
        stream = opened.streams.video[0]
        codec = stream.codec_context
        if codec is None:
            raise EpisodeError("its codec is none that PyAV can decode", stage="decode")
        if (codec.height, codec.width) != camera.shape[:2]:
            height, width = camera.shape[:2]
            what = f"its frames are {codec.height}x{codec.width} pixels"
            raise EpisodeError(f"{what}, {height}x{width} was expected", stage="decode")
        codec.options = {"max_pixels": str(MAX_PIXELS)}
        codec.thread_count = 1
    except BaseException:
        opened.close()
        raise
    return opened, stream


def _upper_bits(frame: Any) -> Images:
    """The upper 8 bits of the first plane of a gray frame of 8 to 16 bits."""
    bits = frame.format.components[0].bits
    if len(frame.format.components) != 1 or not 8 <= bits <= 16:
        raise EpisodeError(f"distances are stored as {frame.format.name}, gray is wanted", stage="decode")
    values: NDArray[Any] = frame.to_ndarray()
    return np.ascontiguousarray(values >> (bits - 8)).astype(np.uint8)
