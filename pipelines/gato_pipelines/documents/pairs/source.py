"""Episodes of (image, text) pairs (paper section 3.2: "we sample five (image, text) pairs, ... concatenate")."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gato_data.errors import EpisodeError, SettingError
from gato_pipelines.documents.image_source import ImageSource
from gato_pipelines.documents.source import AGENT
from gato_pipelines.images.document import decode_image
from gato_pipelines.source import Item, setting
from gato_schemas.account import Note, merge_notes
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Document, Image, Text
from gato_schemas.index import Part

PAIRS_PER_PART = 2560
"""Pairs of one part: some 200 MB of images, ten seconds of work."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One image and its text, not read yet.

    Attributes:
        key: what the source calls it, for dead letters.
        id: the source's own id.
        text: the text.
        load: reads the encoded image; raises EpisodeError where it cannot.
        notes: how it was read.
        more: the same of images that follow the first one.
    """

    key: str
    id: str
    text: Text
    load: Callable[[], bytes]
    notes: tuple[Note, ...] = ()
    more: tuple[Callable[[], bytes], ...] = ()


PairOrBad: TypeAlias = Pair | Item
"""A pair, or an item that says why there is none."""


@dataclass(frozen=True)
class PairSource(ImageSource):
    """Reads pairs of an image and a text; the fields are settings."""

    pairs_per_episode: int = setting(5, "Pairs that make one episode (paper section 3.2: five).")
    seed: int = setting(0, "Of the shuffle of pairs.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pairs_per_episode < 1:
            raise SettingError(f"{self.pairs_per_episode} pairs per episode are not possible: at least 1 is wanted")

    @abstractmethod
    def pairs(self, folder: Path, part: Part) -> Iterator[PairOrBad]:
        """The pairs of a part, in their shuffled order; bad ones are items."""

    def read(self, folder: Path, part: Part, task: TaskInfo) -> Iterator[Item]:
        """Episodes of the pairs of one part; a bad pair is left out, and the next one takes its place."""
        return self.episodes(part.task, self.pairs(folder, part))

    def episodes(self, task: str, pairs: Iterable[PairOrBad]) -> Iterator[Item]:
        """Join every few good pairs to an episode; a remainder makes a shorter one."""
        segments: list[Text | Image] = []
        ids: list[str] = []
        notes: list[Note] = []
        ordinal = 0
        for pair in pairs:
            if isinstance(pair, Item):
                yield pair
                continue
            try:
                segments += self._segments(pair)
            except EpisodeError as error:
                yield Item(pair.key, 0, error=error)
                continue
            ids.append(pair.id)
            notes += pair.notes
            if len(ids) == self.pairs_per_episode:
                yield _episode(task, ordinal, ids, segments, notes)
                segments, ids, notes, ordinal = [], [], [], ordinal + 1
        if ids:
            yield _episode(task, ordinal, ids, segments, notes)

    def _segments(self, pair: Pair) -> tuple[Image | Text, ...]:
        if not pair.text.text.strip():
            raise EpisodeError("the text is empty", stage="read")
        return (*(decode_image(load(), self.fit) for load in (pair.load, *pair.more)), pair.text)

    def count_episodes(self, pairs: int) -> int:
        """Episodes that so many pairs make."""
        return -(-pairs // self.pairs_per_episode)


def _episode(task: str, ordinal: int, ids: list[str], segments: list[Text | Image], notes: Iterable[Note]) -> Item:
    name = " ".join(ids)
    document = Document(task=task, agent=AGENT, source_episode_id=name, segments=tuple(segments))
    return Item(name, ordinal, document, notes=tuple(merge_notes(notes)))
