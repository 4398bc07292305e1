"""What reads tables of pictures and texts: a row is a pair, of which several make an episode, or a conversation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Literal

import msgspec

from gato_data.errors import EpisodeError
from gato_pipelines.documents.formats.arrow_values import size_of_value
from gato_pipelines.documents.formats.ranges import part_limit
from gato_pipelines.documents.image_files import ImageFiles, open_images
from gato_pipelines.documents.pages import PageImages
from gato_pipelines.documents.pairs.look_up import LOOKED_UP, missing_images
from gato_pipelines.documents.pairs.questions import check_template, template_setting
from gato_pipelines.documents.pairs.shuffle import within_windows
from gato_pipelines.documents.pairs.source import PAIRS_PER_PART, PairOrBad, PairSource
from gato_pipelines.documents.pairs.tables import images_path
from gato_pipelines.documents.rows.beside import PICTURE, TEXT, Captioned, captioned_rows, is_picture
from gato_pipelines.documents.rows.columns import Columns, RowKeys, choose_columns
from gato_pipelines.documents.rows.conversation import Style
from gato_pipelines.documents.rows.layout import Layout, lay_out
from gato_pipelines.documents.rows.row import Row
from gato_pipelines.documents.rows.table import Table, TableFile, open_table
from gato_pipelines.documents.rows.writing import ConversationWriter, PairWriter, first_pictures
from gato_pipelines.documents.source import AGENT, check_window, window_setting
from gato_pipelines.files.find import root_of
from gato_pipelines.source import Item, PartScan, setting
from gato_schemas.account import Note
from gato_schemas.dataset import TaskInfo
from gato_schemas.index import Part

_BESIDE = Columns("captions", (PICTURE,), TEXT)
_PICTURE_BYTES = 1 << 16
"""Bytes that a picture in a file is taken for, to tell a small input from a large one."""


@dataclass(frozen=True)
class RowSource(RowKeys, PairSource):
    """Reads rows of tables; the fields are settings."""

    family: str = setting(
        "", "Row of the paper's Table 1 that the dataset stands for, as `mix --weights gato` takes it."
    )
    task: str = setting("", "Name of the task; by default the family's, else the input's own.")
    split: str = setting("", "Split of the input to read, or all; by default train, or the only one.")
    template: str = template_setting()
    turn: str = setting(
        "{ROLE}: {text}", "How a turn of a conversation is written; {ROLE} is USER, ASSISTANT or SYSTEM, {role} small."
    )
    loss_on: Literal["answers", "all"] = setting(
        "answers", "Of questions and conversations, train on the answers alone, or on all of the text."
    )
    max_window: int = window_setting()
    allow_missing_shards: bool = setting(False, "Go on without files that are Git LFS pointers.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_window(self.max_window)
        check_template(self.template)
        _ = self.form, self._style

    @cached_property
    def _style(self) -> Style:
        return Style(self.turn, self.loss_on == "answers")

    def task_of(self, folder: Path) -> str:
        """The task of an input."""
        return self.task_name or (folder.resolve().stem if folder.is_file() else folder.resolve().name)

    def layout(self, folder: Path) -> Layout:
        """What an input is."""
        return _laid_out(self, folder)

    def parts(self, folder: Path) -> list[Part]:
        """The pieces of every table; runs of pictures beside which a text lies."""
        _laid_out.cache_clear()  # the input may have changed since an earlier run of this process
        layout, root, task = self.layout(folder), root_of(folder), self.task_of(folder)
        limit = part_limit(root, list(layout.tables))
        parts = []
        for name, columns in layout.tables.items():
            pieces = self._table(folder, name).parts(task, columns.names, limit)
            parts += [msgspec.structs.replace(part, count=self._count(part.count, columns)) for part in pieces]
        parts += [Part(name, task, (root / name).stat().st_size, 0, 1) for name in layout.damaged]
        for first in range(0, len(layout.pictures), PAIRS_PER_PART):
            count = min(PAIRS_PER_PART, len(layout.pictures) - first)
            name = layout.pictures[first].picture
            parts.append(Part(name, task, count * _PICTURE_BYTES, first, self.count_episodes(count)))
        return parts

    @property
    def read_in_ranges(self) -> str:
        """Parquet files, whose parts are row groups."""
        return r"\.parquet$"

    def notes(self, folder: Path) -> list[Note]:
        """What was recognised, and names, where none of the first pictures is there."""
        layout, images = self.layout(folder), self._images(folder)
        found = list(layout.notes)
        for name, columns in islice(layout.tables.items(), 1):
            part = Part(name, "", (root_of(folder) / name).stat().st_size)
            first = islice(self._table(folder, name).rows(part, columns.names), LOOKED_UP) if columns.pictures else ()
            found += missing_images(first_pictures(first, columns, name, images), images)
        return found

    def scan(self, folder: Path, part: Part) -> PartScan:
        """Count the rows where they are not counted already."""
        if not is_picture(part.file):
            part = msgspec.structs.replace(part, count=max(self._rows_of(folder, part), 1))
        return PartScan(part=part, agents=[AGENT])

    def _rows_of(self, folder: Path, part: Part) -> int:
        """Episodes that the rows of a table make; none where it cannot be read."""
        try:
            columns = self._columns(folder, part.file)
        except EpisodeError:
            return 0
        return self._count(self._table(folder, part.file).count_rows(part, columns.names), columns)

    def read(self, folder: Path, part: Part, task: TaskInfo) -> Iterator[Item]:
        """Episodes of pairs, shuffled within windows of a part; or its conversations."""
        try:
            columns = self._columns(folder, part.file)
        except EpisodeError as error:
            yield Item("table", 0, error=error)
            return
        if columns.form == "conversations":
            yield from self._conversations(folder, part, columns)
        else:
            yield from self.episodes(part.task, self.pairs(folder, part))

    def pairs(self, folder: Path, part: Part) -> Iterator[PairOrBad]:
        """The rows of a part as pairs."""
        columns = self._columns(folder, part.file)
        writer = PairWriter(columns, part.file, self.template, self.loss_on == "answers", self._images(folder))
        shuffled = within_windows(self._rows(folder, part, columns), self.seed, _size, part.file, str(part.first))
        yield from map(writer.pair, islice(shuffled, part.count * self.pairs_per_episode))

    def files_of(self, folder: Path, part: Part) -> list[str]:
        """The table, or the pictures and texts of a run."""
        if not is_picture(part.file):
            return [part.file]
        return [name for file in self._run(folder, part) for name in (file.picture, file.text)]

    def _rows(self, folder: Path, part: Part, columns: Columns) -> Iterator[Row]:
        if is_picture(part.file):
            return captioned_rows(root_of(folder), self._run(folder, part), self.text_key or "caption")
        return self._table(folder, part.file).rows(part, columns.names)

    def _run(self, folder: Path, part: Part) -> Sequence[Captioned]:
        return self.layout(folder).pictures[part.first : part.first + PAIRS_PER_PART]

    def _table(self, folder: Path, name: str) -> Table:
        return open_table(TableFile(root_of(folder) / name, name, self.max_window))

    def _columns(self, folder: Path, name: str) -> Columns:
        """The columns of one table, which depend on nothing else."""
        if is_picture(name):
            return _BESIDE
        found = choose_columns(self._table(folder, name).kinds(), self, name)
        if found is None:
            raise EpisodeError(f"{name} is no table of pictures and texts any more", stage="read")
        return found

    def _count(self, rows: int, columns: Columns) -> int:
        return rows if columns.form == "conversations" else self.count_episodes(rows)

    def _images(self, folder: Path) -> ImageFiles:
        return open_images(images_path(self.images, folder))

    def _conversations(self, folder: Path, part: Part, columns: Columns) -> Iterator[Item]:
        writer = ConversationWriter(columns, part.file, self._style, PageImages(self._images(folder), self.fit))
        for ordinal, row in enumerate(islice(self._rows(folder, part, columns), part.count)):
            try:
                document = writer.document(row, part.task)
            except EpisodeError as error:
                yield Item(row.key, ordinal, error=error, count=row.lost)
            else:
                yield Item(row.key, ordinal, document, notes=row.notes)


def _size(row: Row) -> int:
    return size_of_value(row.values)


@lru_cache(maxsize=2)
def _laid_out(source: RowSource, folder: Path) -> Layout:
    """A worker looks at the input once, not once per part."""
    return lay_out(folder, source, source.split, source.max_window)
