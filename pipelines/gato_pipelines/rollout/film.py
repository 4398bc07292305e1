"""A few episodes as an animated GIF."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gato_data.errors import MissingPackageError, OutputError
from gato_data.files import write_durably
from gato_pipelines.environments.chance import Chance
from gato_pipelines.environments.environment import Environment, Frame
from gato_pipelines.environments.play import Actor, PlayedEpisode, play_episodes
from gato_pipelines.rollout.policy import PLAYED
from gato_pipelines.rollout.settings import RolloutSettings

_EPISODES = 3
_FRAMES = 120
"""Most frames of an episode; of longer ones every second, third, ... is taken."""
_SIDE = 240
"""Pixels on the longer side of a frame."""
_CAPTION = 18
_MILLISECONDS, _LAST = 60, 900
"""That a frame is shown, and the last one of an episode."""
_COLOURS = 128


@dataclass(slots=True)
class Film:
    """The frames of one episode.

    Attributes:
        title: what is shown.
        frames: frames and what stands below them.
        last: the newest of them, where it is none of those that are kept.
    """

    title: str
    frames: list[tuple[Frame, str]] = field(default_factory=list)
    last: list[tuple[Frame, str]] = field(default_factory=list)
    _every: int = 1

    def add(self, frame: Frame, text: str, number: int) -> None:
        """Add frame `number` of the episode; of long ones some are kept."""
        shown = _small(frame), text
        if number % self._every:
            self.last = [shown]
            return
        self.frames.append(shown)
        self.last = []
        if len(self.frames) == 2 * _FRAMES:
            self.last = self.frames[-1:]
            self.frames, self._every = self.frames[::2], 2 * self._every

    def shown(self) -> list[tuple[Frame, str]]:
        """Frames to show: at most `_FRAMES`, and the last one of the episode."""
        frames = self.frames + self.last
        every = -(-len(frames) // _FRAMES)
        return frames[(len(frames) - 1) % every :: every]


def film_episodes(environment: Environment, actor: Actor, settings: RolloutSettings) -> list[Film]:
    """The first episodes of a rollout once more, looked at."""
    films: dict[int, Film] = {}

    def watch(played: Environment, episode: PlayedEpisode) -> None:
        film = films.setdefault(episode.number, Film(played.title))
        text = f"episode {episode.number}, return {sum(episode.rewards):.4g}"
        film.add(played.frame(), text + (", solved" if episode.success else ""), len(episode.actions))

    chances = [Chance(settings.seed, number, PLAYED) for number in range(min(_EPISODES, settings.episodes))]
    for _ in play_episodes([environment], actor, chances, watch=watch):
        pass
    return [films[number] for number in sorted(films)]


def check_gif(path: Path) -> None:
    """Refuse, before anything is played, what no film can be written to.

    Raises:
        MissingPackageError: pillow is not installed.
        OutputError: it is a folder, or its folder cannot be made.
    """
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise MissingPackageError("a film needs pillow: pip install pillow") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror})") from error
    if path.is_dir():
        raise OutputError(f"{path} is a folder: give the name of a GIF file")


def write_gif(path: Path, films: Sequence[Film]) -> None:
    """Write films one after the other.

    Raises:
        OutputError: the file cannot be written.
    """
    from PIL import Image

    shown = [(film, frame, text) for film in films for frame, text in film.shown()]
    height = max(frame.shape[0] for _, frame, _ in shown)
    width = max(frame.shape[1] for _, frame, _ in shown)
    pictures = [_picture(frame, film.title, text, (height, width)) for film, frame, text in shown]
    owners = [film for film, _, _ in shown]
    ends = [at + 1 == len(owners) or owners[at + 1] is not film for at, film in enumerate(owners)]
    quantized = [picture.quantize(_COLOURS, method=Image.Quantize.MEDIANCUT) for picture in pictures]
    data = io.BytesIO()
    quantized[0].save(
        data,
        "GIF",
        save_all=True,
        append_images=quantized[1:],
        duration=[_LAST if end else _MILLISECONDS for end in ends],
        loop=0,
        optimize=True,
    )
    try:
        write_durably(path, data.getvalue())
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror})") from error


def _small(frame: Frame) -> Frame:
    """A frame of at most `_SIDE` pixels a side; small ones are enlarged by whole pixels."""
    from PIL import Image

    height, width = frame.shape[:2]
    longer = max(height, width)
    if 2 * longer <= _SIDE:
        times = _SIDE // longer
        return np.repeat(np.repeat(frame, times, axis=0), times, axis=1)
    if longer <= _SIDE:
        return frame
    size = max(1, width * _SIDE // longer), max(1, height * _SIDE // longer)
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))


def _picture(frame: Frame, title: str, text: str, size: tuple[int, int]) -> Any:
    """A frame in the middle of (height, width) pixels, with two lines below it."""
    from PIL import Image, ImageDraw

    height, width = size
    picture = Image.new("RGB", (width, height + 2 * _CAPTION), "white")
    picture.paste(Image.fromarray(frame), ((width - frame.shape[1]) // 2, (height - frame.shape[0]) // 2))
    draw = ImageDraw.Draw(picture)
    for line, words in enumerate((title, text)):
        draw.text((4, height + line * _CAPTION + 2), words, fill="black")
    return picture
