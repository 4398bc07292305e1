"""Pictures and texts as the Hub holds them: what an input is, is told by its layout, and said."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from gato_pipelines.documents.rows.beside import is_picture
from gato_pipelines.documents.rows.layout import Other
from gato_pipelines.documents.rows.source import RowSource
from gato_pipelines.documents.source import DocumentSource
from gato_pipelines.files.passed_over import passed_over
from gato_pipelines.source import Item, PartScan
from gato_pipelines.sources import align, m3w, massivetext
from gato_schemas.account import Note
from gato_schemas.dataset import TaskInfo
from gato_schemas.index import Part

_OTHERS: dict[Other, type[DocumentSource]] = {
    "pages": m3w.Source,
    "archives": align.Source,
    "texts": massivetext.Source,
}


@dataclass(frozen=True)
class Source(RowSource):
    """Pictures with captions, questions or conversations: the Hub's parquet, Arrow and image folders, LLaVA's JSON."""

    licence: ClassVar[str] = "as the dataset says"
    formats: ClassVar[str] = (
        "parquet, Arrow, JSON lines or lists, csv with pictures inside or beside; pictures with a .txt beside each; "
        "what `m3w`, `align` and `massivetext` read"
    )
    tokens_per_timestep: ClassVar[str] = "144 an image of 192x192, then its text"
    example: ClassVar[str] = "gato-data ingest hub hf://datasets/owner/name --out name"

    def parts(self, folder: Path) -> list[Part]:
        """The pieces of every table, or what another source makes of the input."""
        own = super().parts(folder)
        other = self._other(folder)
        return own if other is None else other.parts(folder)

    def notes(self, folder: Path) -> list[Note]:
        """What was recognised, and the files that are passed over."""
        layout, other = self.layout(folder), self._other(folder)
        if other is not None:
            return [*layout.notes, *other.notes(folder)]
        read = {*layout.tables, *layout.damaged}
        read |= {name for file in layout.pictures for name in (file.picture, file.text)}
        return [*super().notes(folder), *passed_over(folder, lambda name: name in read or is_picture(name))]

    def scan(self, folder: Path, part: Part) -> PartScan:
        """Count the episodes of a part."""
        other = self._other(folder)
        return super().scan(folder, part) if other is None else other.scan(folder, part)

    def read(self, folder: Path, part: Part, task: TaskInfo) -> Iterator[Item]:
        """The episodes of a part."""
        other = self._other(folder)
        return super().read(folder, part, task) if other is None else other.read(folder, part, task)

    def files_of(self, folder: Path, part: Part) -> list[str]:
        """Names of the files of a part."""
        other = self._other(folder)
        return super().files_of(folder, part) if other is None else other.files_of(folder, part)

    def _other(self, folder: Path) -> DocumentSource | None:
        """The source that reads what is neither a table nor pictures with texts, with the settings that both have."""
        layout = self.layout(folder)
        if not layout.other:
            return None
        cls = _OTHERS[layout.other]
        mine: dict[str, Any] = {entry.name: getattr(self, entry.name, None) for entry in fields(cls)}
        mine |= {"task": self.task_of(folder), "family": self.family or cls.family}
        keys = {"text_key": layout.text_key or "text", "caption_key": self.text_key or "caption"}
        mine |= {name: key for name, key in keys.items() if name in mine}
        shared = {entry.name for entry in fields(type(self))} | {*keys}
        return cls(**{name: value for name, value in mine.items() if name in shared})
