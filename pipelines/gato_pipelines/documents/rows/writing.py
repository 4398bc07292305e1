"""Rows as what they stand for: a pair of pictures and a text, or a conversation."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from gato_data.errors import EpisodeError
from gato_pipelines.documents.image_files import ImageFiles
from gato_pipelines.documents.pages import MAX_IMAGES, PageImage, PageImages
from gato_pipelines.documents.pairs.questions import fill, most_given
from gato_pipelines.documents.pairs.source import Pair, PairOrBad
from gato_pipelines.documents.rows.columns import Columns
from gato_pipelines.documents.rows.conversation import Style, turns_of, write_turns
from gato_pipelines.documents.rows.pictures import EMBEDDED, pictures_of
from gato_pipelines.documents.rows.row import Row, name_of, text_of, value_at
from gato_pipelines.documents.source import AGENT
from gato_pipelines.source import Item
from gato_schemas.account import Note
from gato_schemas.episode import Document, Text

_FIRST_OF_MANY = Note("read", "a row has several captions, the first of which is taken")


@dataclass(frozen=True, slots=True)
class PairWriter:
    """Makes pairs of rows.

    Attributes:
        columns: of the table.
        file: name of the table.
        template: of a question and its answer.
        only_answers: whether nothing but answers is trained on.
        images: where pictures are looked up that are files.
    """

    columns: Columns
    file: str
    template: str
    only_answers: bool
    images: ImageFiles

    def pair(self, row: Row) -> PairOrBad:
        """The pair of a row, whose pictures are not read yet."""
        try:
            _check(row)
            pictures = pictures_of(row.values, self.columns.pictures, self.file)
            if not pictures:
                raise EpisodeError("the row has no picture", stage="read")
            text, notes = self._text(row)
        except EpisodeError as error:
            return Item(row.key, 0, error=error, count=row.lost)
        first, *more = (partial(picture.load, self.images) for picture in pictures)
        name = _name(row, self.columns, pictures)
        return Pair(f"{row.key}, {pictures[0].name}", name, text, first, (*row.notes, *notes), tuple(more))

    def _text(self, row: Row) -> tuple[Text, tuple[Note, ...]]:
        """The caption of a row, of several the first; or its question and answer."""
        value = value_at(row.values, self.columns.text)
        if self.columns.form == "questions":
            asked, answer = text_of(value, "question"), _answer(value_at(row.values, self.columns.answer))
            for what, text in (("question", asked), ("answer", answer)):
                if not text:
                    raise EpisodeError(f"the {what} is empty", stage="read")
            return fill(self.template, asked, answer, only_answers=self.only_answers), ()
        if isinstance(value, list):
            texts = [text for entry in value if (text := text_of(entry, "caption"))]
            return Text(texts[0] if texts else ""), (_FIRST_OF_MANY,) if len(texts) > 1 else ()
        return Text(text_of(value, "caption")), ()


@dataclass(frozen=True, slots=True)
class ConversationWriter:
    """Makes documents of rows that hold a conversation.

    Attributes:
        columns: of the table.
        file: name of the table.
        style: how turns are written.
        album: reads pictures and makes them of one size.
    """

    columns: Columns
    file: str
    style: Style
    album: PageImages

    def document(self, row: Row, task: str) -> Document:
        """The conversation of a row, with its pictures.

        Raises:
            EpisodeError: the row cannot be read, or one of its pictures.
        """
        _check(row)
        turns = turns_of(value_at(row.values, self.columns.text), self.file)
        pictures = pictures_of(row.values, self.columns.pictures, self.file)
        written = write_turns(turns, pictures, self.style)
        if sum(isinstance(each, PageImage) for each in written) > MAX_IMAGES:
            raise EpisodeError(f"the conversation has more than {MAX_IMAGES} pictures", stage="read")
        segments = tuple(self.album.image(each) if isinstance(each, PageImage) else each for each in written)
        name = _name(row, self.columns, pictures)
        return Document(task=task, agent=AGENT, source_episode_id=name, segments=segments)


def first_pictures(rows: Iterable[Row], columns: Columns, file: str, images: ImageFiles) -> Iterator[PairOrBad]:
    """The first picture of every row that has one, to see whether it is there."""
    for row in rows:
        try:
            pictures = pictures_of(row.values, columns.pictures, file)
        except EpisodeError:
            continue
        if pictures:
            yield Pair(pictures[0].name, "", Text(""), partial(pictures[0].load, images))


def _check(row: Row) -> None:
    if row.reason:
        raise EpisodeError(row.reason, stage="read")


def _name(row: Row, columns: Columns, pictures: list[PageImage]) -> str:
    """What a row is called: its own name, that of its first picture, or its place."""
    if name := name_of(value_at(row.values, columns.id)):
        return name
    named = next((picture.name for picture in pictures if picture.name != EMBEDDED), "")
    return name_of(named) or row.key.rpartition(" ")[2]


def _answer(value: Any) -> str:
    """An answer; of several the most frequent."""
    if not isinstance(value, list):
        return text_of(value, "answer")
    entries = (entry.get("answer") if isinstance(entry, dict) else entry for entry in value)
    return most_given(text for entry in entries if (text := text_of(entry, "answer")))
