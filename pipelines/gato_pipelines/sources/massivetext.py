"""MassiveText's kind of data: text corpora as txt, JSON lines, parquet, or TFDS's TFRecord files."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from gato_data.errors import EpisodeError, SettingError
from gato_pipelines.documents.duplicates import NO_HASH, pack_hashes, text_hash
from gato_pipelines.documents.files import find_files, root_of
from gato_pipelines.documents.ranges import NOTED_BYTES, file_parts, part_limit, runs_of_files
from gato_pipelines.documents.rows import read_texts, row_parts
from gato_pipelines.documents.source import AGENT, DocumentSource, family_setting
from gato_pipelines.documents.streams import is_compressed, plain_name
from gato_pipelines.documents.texts import (
    Decode,
    TextRecord,
    filled_lines,
    json_decoder,
    read_json,
    read_plain,
    read_tfrecord,
    read_whole,
)
from gato_pipelines.source import Item, PartScan, setting
from gato_schemas.account import Note
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
    """Texts: web pages, books, code; one document an episode."""

    licence: ClassVar[str] = "as the corpus says"
    formats: ClassVar[str] = "txt, JSON lines, parquet, each also compressed; TFDS"
    tokens_per_timestep: ClassVar[str] = "text"
    example: ClassVar[str] = "gato-data ingest massivetext c4-train.00000-of-01024.json.gz --out c4"
    read_by_part: ClassVar[str] = r"(?<!\.parquet)$"

    family: str = family_setting("massivetext")
    text_key: str = setting("text", "Field or column of the text; dots lead into nested ones.", "KEY")
    split: str = setting("", "Split of a TFDS dataset; by default train.")
    separator: str = setting(
        "", r"What stands between documents in .txt files, such as \n\n; by default a file is one document.", "TEXT"
    )
    dedupe: Literal["off", "exact"] = setting("off", "Leave out texts that occurred before, to the letter.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(self.text_key.split(".")):
            raise SettingError(f"{self.text_key!r} is no key: names joined by dots are wanted, such as meta.text")

    @cached_property
    def _separator(self) -> bytes:
        return self.separator.replace("\\n", "\n").replace("\\t", "\t").encode()

    @cached_property
    def _decode(self) -> Decode:
        return json_decoder(self.text_key)

    def parts(self, folder: Path) -> list[Part]:
        """Byte ranges of plain files, runs of row groups, whole compressed files, and runs of files of one document."""
        root = root_of(folder)
        names = find_files(folder, self._is_wanted, _WANTED)
        limit = part_limit(root, names)
        parts = []
        for name in names:
            if kind_of(name) == "parquet":
                parts += row_parts(root / name, name, self.task_name, [self.text_key], limit)
            elif not self._is_whole(name):
                shared = kind_of(name) == "json" or is_findable(self._separator)
                parts += file_parts(root / name, name, self.task_name, limit, shared=shared)
        return parts + runs_of_files(root, [name for name in names if self._is_whole(name)], self.task_name, limit)

    def _is_whole(self, name: str) -> bool:
        """Whether a file is one document."""
        return kind_of(name) == "plain" and not self._separator

    def _is_wanted(self, name: str) -> bool:
        kind = kind_of(name)
        return bool(kind) and (kind != "tfrecord" or f"-{self.split or 'train'}.tfrecord" in name)

    def scan(self, folder: Path, part: Part) -> PartScan:
        """Count documents, and hash them where duplicates are wanted out."""
        count, hashes = 0, []
        try:
            for record in self.texts(folder, part) if self.dedupe == "exact" else self._places(folder, part):
                count += 1
                hashes.append(text_hash(record.text) if record is not None and record.text is not None else NO_HASH)
        except EpisodeError:
            count += 1
        note = Note("read", "large compressed files are one part each, which one worker reads")
        return PartScan(
            part=msgspec.structs.replace(part, count=count),
            agents=[AGENT],
            notes=[note] if is_compressed(part.file) and part.size >= NOTED_BYTES else [],
            hashes=pack_hashes(hashes) if self.dedupe == "exact" else b"",
        )

    def read(self, folder: Path, part: Part, task: TaskInfo) -> Iterator[Item]:
        """The documents of one part."""
        try:
            for ordinal, record in enumerate(self.texts(folder, part)):
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

    def files_of(self, folder: Path, part: Part) -> list[str]:
        """Names of the files of a part."""
        if not self._is_whole(part.file):
            return [part.file]
        names = [name for name in _names(self, folder) if self._is_whole(name)]
        return names[part.first : part.first + part.count]

    def texts(self, folder: Path, part: Part) -> Iterator[TextRecord]:
        """The texts of a part one by one; raises EpisodeError where the rest of a file cannot be read."""
        path, kind = root_of(folder) / part.file, kind_of(part.file)
        if self._is_whole(part.file):
            return (read_whole(root_of(folder) / name, name) for name in self.files_of(folder, part))
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
        if kind == "parquet" or self._is_whole(part.file):
            return iter([None] * part.count)
        return iter(self.texts(folder, part))


@lru_cache(maxsize=2)
def _names(source: Source, folder: Path) -> list[str]:
    """A worker lists the files once, not once per part."""
    return find_files(folder, source._is_wanted, _WANTED)


def is_findable(separator: bytes) -> bool:
    """Whether a separator is found in the same places from wherever one begins: no end of it is its beginning."""
    return bool(separator) and not any(separator.endswith(separator[:n]) for n in range(1, len(separator)))
