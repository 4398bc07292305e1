"""Pairs listed in one file, with the images elsewhere: shuffled as a whole, and shared out in runs of episodes."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from gato_data.errors import InputError
from gato_data.permutation import Numbers
from gato_pipelines.documents.formats.ranges import MAX_PARTS
from gato_pipelines.documents.image_files import ImageFiles, open_images
from gato_pipelines.documents.pairs.look_up import LOOKED_UP, check_images, missing_images
from gato_pipelines.documents.pairs.source import PAIRS_PER_PART, PairOrBad, PairSource
from gato_pipelines.files.git_lfs import check_fetched
from gato_pipelines.source import Item
from gato_schemas.account import Note
from gato_schemas.index import Part

_PAIR_BYTES = 1 << 16
"""Bytes that one image is taken for, to tell a small input from a large one."""


class PairTable(Protocol):
    """The pairs of an annotation file."""

    @property
    def name(self) -> str:
        """Of the file."""

    @property
    def bad(self) -> Sequence[Item]:
        """What is wrong with entries of the file that are no pairs."""

    @property
    def size(self) -> int:
        """Number of pairs."""

    def order(self, first: int, count: int) -> Numbers:
        """Which pairs stand at these places of the shuffle."""

    def pair(self, number: int, image_files: ImageFiles) -> PairOrBad:
        """One pair."""


@dataclass(frozen=True)
class TableSource(PairSource):
    """Reads pairs that an annotation file lists."""

    @abstractmethod
    def annotation_files(self, folder: Path) -> tuple[Path, ...]:
        """The files that list the pairs.

        Raises:
            InputError: they cannot be found.
        """

    @abstractmethod
    def read_table(self, folder: Path, files: tuple[Path, ...]) -> PairTable:
        """Read them.

        Raises:
            InputError: they are not what they should be.
        """

    def image_files(self, folder: Path) -> ImageFiles:
        """Where the images are: `images`, or the input's own folder."""
        return open_images(images_path(self.images, folder))

    def parts(self, folder: Path) -> list[Part]:
        """Runs of episodes of the shuffled pairs; `first` and `count` are episodes."""
        table = self._table(folder)
        check_images(self._first(folder), images_path(self.images, folder).name)
        episodes = self.count_episodes(table.size)
        step = max(-(-PAIRS_PER_PART // self.pairs_per_episode), -(-episodes // MAX_PARTS))
        size = _PAIR_BYTES * self.pairs_per_episode
        parts = []
        for first in range(0, max(episodes, 1), step):
            count = min(step, episodes - first) if episodes else 1
            parts.append(Part(table.name, self.task_name, count * size, first, count))
        return parts

    def notes(self, folder: Path) -> list[Note]:
        """Names, where none of the first images is there."""
        return missing_images(self._first(folder), self.image_files(folder))

    def pairs(self, folder: Path, part: Part) -> Iterator[PairOrBad]:
        """The pairs of a part; what is wrong with the file itself comes with its first part."""
        table, image_files = self._table(folder), self.image_files(folder)
        if part.first == 0:
            yield from table.bad
        first, count = part.first * self.pairs_per_episode, part.count * self.pairs_per_episode
        for number in table.order(first, count).tolist():
            yield table.pair(number, image_files)

    def _first(self, folder: Path) -> Iterator[PairOrBad]:
        """The first pairs, whose images tell whether all are looked for in the right place."""
        table, image_files = self._table(folder), self.image_files(folder)
        return (table.pair(number, image_files) for number in table.order(0, LOOKED_UP).tolist())

    def _table(self, folder: Path) -> PairTable:
        files = self.annotation_files(folder)
        check_fetched(files)
        try:
            changed = tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in files)
        except OSError as error:
            raise InputError(f"{error.filename} cannot be read ({error.strerror})") from error
        return _read_table(self, folder, files, changed)


@lru_cache(maxsize=2)
def _read_table(source: TableSource, folder: Path, files: tuple[Path, ...], _changed: Any) -> PairTable:
    """A worker reads each annotation file once, not once per part."""
    return source.read_table(folder, files)


def images_path(images: str, folder: Path) -> Path:
    """Where the images are: what a setting names, or the folder of the input."""
    if images:
        return beside(folder, images)
    if folder.is_dir():
        return folder
    return folder.parent.parent if folder.parent.name == "annotations" else folder.parent


def beside(folder: Path, name: str) -> Path:
    """A path that a setting names: inside the input's folder if it is there, else as it stands."""
    inside = (folder if folder.is_dir() else folder.parent) / name
    return inside if inside.exists() else Path(name)
