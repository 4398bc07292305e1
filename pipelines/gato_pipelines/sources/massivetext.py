"""MassiveText's kind of data: text corpora as txt, JSON lines, parquet, or TFDS's TFRecord files."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from gato_data.errors import EpisodeError, SettingError
from gato_pipelines.documents.duplicates import text_hash
from gato_pipelines.documents.files import find_files, root_of
from gato_pipelines.documents.ranges import NOTED_BYTES, file_parts, part_limit
from gato_pipelines.documents.rows import read_texts, row_parts
from gato_pipelines.documents.source import AGENT, DocumentSource, setting
from gato_pipelines.documents.streams import is_compressed, plain_name
from gato_pipelines.documents.texts import (
    Decode,
    TextRecord,
    filled_lines,
    json_decoder,
    read_json,
    read_plain,
    read_tfrecord,
)
from gato_pipelines.source import Item, PartScan
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Document, Text
from gato_schemas.index import Part

_KINDS = {".txt": "plain", ".jsonl": "json", ".ndjson": "json", ".json": "json", ".parquet": "parquet"}
_WANTED = ".txt, .jsonl, .json, .parquet files (also .gz, .zst, .zip) or TFDS's .tfrecord shards"


def kind_of(name: str) -> str:
    """How a file of that name is read; empty where it is not."""
    if ".tfrecord" in name:
        return "" if name.endswith(".index") else "tfrecord"
    suffix = Path(plain_name(name)).suffix
    kind = _KINDS.get(suffix, "")
    return "" if kind == "parquet" and is_compressed(name) else kind


@dataclass(frozen=True)
class Source(DocumentSource):
    """Texts: .txt, JSON lines (C4, The Pile, Dolma), parquet, plain or compressed, or TFDS text datasets."""

    family: str = setting("massivetext", DocumentSource.__dataclass_fields__["family"].metadata["help"])
    text_key: str = setting("text", "Field or column of the text; dots lead into nested ones.", "KEY")
    split: str = setting("", "Split of a TFDS dataset; by default train.")
    separator: str = setting(
        "", r"What stands between documents in .txt files, such as \n\n; by default a file is one document.", "TEXT"
    )
    dedupe: Literal["off", "exact"] = setting("off", "Leave out texts that occurred before, to the letter.")

    licence: ClassVar[str] = "as the corpus says"

    def __post_init__(self) -> None:
        if not all(self.text_key.split(".")):
            raise SettingError(f"{self.text_key!r} is no key: names joined by dots are wanted, such as meta.text")

    @cached_property
    def _separator(self) -> bytes:
        return self.separator.replace("\\n", "\n").replace("\\t", "\t").encode()

    @cached_property
    def _decode(self) -> Decode:
        return json_decoder(self.text_key)

    def parts(self, folder: Path) -> list[Part]:
        """Byte ranges of plain files, runs of row groups, and whole compressed files."""
        root = root_of(folder)
        names = find_files(folder, self._is_wanted, _WANTED)
        limit = part_limit(root, names)
        parts = []
        for name in names:
            kind = kind_of(name)
            if kind == "parquet":
                parts += row_parts(root / name, name, self.task_name, [self.text_key], limit)
            else:
                shared = kind == "json" or (kind == "plain" and _is_findable(self._separator))
                parts += file_parts(root / name, name, self.task_name, limit, shared=shared)
        return parts

    def _is_wanted(self, name: str) -> bool:
        kind = kind_of(name)
        return bool(kind) and (kind != "tfrecord" or f"-{self.split or 'train'}.tfrecord" in name)

    def scan(self, folder: Path, part: Part) -> PartScan:
        """Count documents, and hash them where duplicates are wanted out."""
        count, hashes = 0, []
        try:
            for record in self._records(folder, part) if self.dedupe == "exact" else self._places(folder, part):
                count += 1
                hashes.append(text_hash(record.text) if record is not None and record.text is not None else 0)
        except EpisodeError:
            count += 1
        note = f"{part.file} is compressed: it is one part, which one worker reads"
        return PartScan(
            part=Part(part.file, part.task, part.size, part.first, count),
            agents=[AGENT],
            notes=[note] if is_compressed(part.file) and part.size >= NOTED_BYTES else [],
            hashes=hashes if self.dedupe == "exact" else [],
        )

    def read(self, folder: Path, part: Part, task: TaskInfo) -> Iterator[Item]:
        """The documents of one part."""
        try:
            for ordinal, record in enumerate(self._records(folder, part)):
                if ordinal == part.count:
                    return
                if record.text is None:
                    yield Item(record.key, ordinal, error=EpisodeError(record.reason, stage="read"))
                    continue
                document = Document(
                    task=part.task, agent=AGENT, source_episode_id=record.id, segments=(Text(record.text),)
                )
                yield Item(record.key, ordinal, document)
        except EpisodeError as error:
            yield Item("rest of the file", part.count, error=error)

    def _records(self, folder: Path, part: Part) -> Iterator[TextRecord]:
        path, kind = root_of(folder) / part.file, kind_of(part.file)
        if kind == "json":
            return read_json(path, part, self._decode)
        if kind == "parquet":
            return read_texts(path, part, self.text_key)
        if kind == "tfrecord":
            return read_tfrecord(path, part, self.text_key)
        return read_plain(path, part, self._separator)

    def _places(self, folder: Path, part: Part) -> Iterator[TextRecord | None]:
        """One value per document, without parsing any where that can be avoided."""
        kind = kind_of(part.file)
        if kind == "json":
            return (None for _ in filled_lines(root_of(folder) / part.file, part))
        if kind == "parquet" or (kind == "plain" and not self._separator):
            return iter([None] * max(part.count, 1))
        return iter(self._records(folder, part))


def _is_findable(separator: bytes) -> bool:
    """Whether a separator is found in the same places from wherever one begins: no end of it is its beginning."""
    return bool(separator) and not any(separator.endswith(separator[:n]) for n in range(1, len(separator)))
