"""MassiveText's kind of data: text corpora as txt, JSON lines, parquet, or TFDS's TFRecord files."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from gato_data.errors import SettingError
from gato_pipelines.documents.formats.json_values import Decode, json_decoder
from gato_pipelines.documents.formats.ranges import NOTED_BYTES, file_parts, part_limit, runs_of_files
from gato_pipelines.documents.formats.tars import is_tar
from gato_pipelines.documents.source import (
    AGENT,
    DocumentSource,
    bad,
    check_window,
    family_setting,
    window_setting,
)
from gato_pipelines.documents.texts.archived import ArchivedFile, read_archive
from gato_pipelines.documents.texts.columns import ColumnError, read_csv
from gato_pipelines.documents.texts.duplicates import NO_HASH, pack_hashes, text_hash
from gato_pipelines.documents.texts.passages import split_passages
from gato_pipelines.documents.texts.records import (
    TextRecord,
    filled,
    filled_lines,
    lines_of,
    plain_text,
    read_json,
    read_plain,
    read_tfrecord,
    read_whole,
    texts_of,
    whole_text,
)
from gato_pipelines.documents.texts.rows import read_texts, row_parts
from gato_pipelines.files.find import find_files, root_of
from gato_pipelines.files.passed_over import PassedOver, is_about, passed_over, without_about
from gato_pipelines.files.streams import is_compressed, plain_name
from gato_pipelines.source import Item, PartScan, setting
from gato_schemas.account import Note
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Document, Text
from gato_schemas.index import Part

_KINDS = {
    ".txt": "plain",
    ".md": "plain",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
_COMPRESSED = Note("read", "large compressed files are one part each, which one worker reads")
_WANTED = (
    ".txt, .md, .jsonl, .json, .csv, .parquet files (also .gz, .zst, .xz, .bz2, .zip, .tar.gz) or TFDS's .tfrecord "
    "shards"
)


def kind_of(name: str) -> str:
    """How a file of that name is read; empty where it is not."""
    if ".tfrecord" in name:
        return "" if name.endswith(".index") else "tfrecord"
    if is_tar(name):
        return "archive" if is_compressed(name) else ""
    suffix = Path(plain_name(name)).suffix
    kind = _KINDS.get(suffix, "")
    return "" if kind == "parquet" and is_compressed(name) else kind


@dataclass(frozen=True)
class Source(DocumentSource):
    """Texts: web pages, books, code; one document an episode."""

    licence: ClassVar[str] = "as the corpus says"
    formats: ClassVar[str] = "txt, md, JSON lines, csv, also compressed or in .tar.gz; parquet; TFDS"
    tokens_per_timestep: ClassVar[str] = "text"
    example: ClassVar[str] = "gato-data ingest massivetext c4-train.00000-of-01024.json.gz --out c4"
    read_by_part: ClassVar[str] = r"(?<!\.parquet)$"

    family: str = family_setting("massivetext")
    text_key: str = setting("text", "Field or column of the text; dots lead into nested ones.", "KEY")
    split: str = setting("", "Split of a TFDS dataset; by default train.")
    separator: str = setting(
        "", r"What stands between documents in .txt files, such as \n\n; by default a file is one document.", "TEXT"
    )
    max_window: int = window_setting()
    dedupe: Literal["off", "exact"] = setting("off", "Leave out texts that occurred before, to the letter.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_window(self.max_window)
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
        names = self._files(folder)
        limit = part_limit(root, names)
        parts = []
        for name in names:
            if kind_of(name) == "parquet":
                parts += row_parts(root / name, name, self.task_name, [self.text_key], limit, texts=True)
            elif not self._is_whole(name):
                shared = kind_of(name) == "json" or is_findable(self._separator)
                parts += file_parts(root / name, name, self.task_name, limit, shared=shared)
        return parts + runs_of_files(root, [name for name in names if self._is_whole(name)], self.task_name, limit)

    def _is_whole(self, name: str) -> bool:
        """Whether a file is one document."""
        return kind_of(name) == "plain" and not self._separator

    def _is_counted(self, name: str) -> bool:
        """Whether the parts of a file know how many documents they have."""
        return kind_of(name) == "parquet" or self._is_whole(name)

    def _is_wanted(self, name: str) -> bool:
        kind = kind_of(name)
        return bool(kind) and (kind != "tfrecord" or f"-{self.split or 'train'}.tfrecord" in name)

    def _files(self, folder: Path) -> list[str]:
        """The files that are read: licences, readmes and the like only where there is nothing else."""
        return without_about(find_files(folder, self._is_wanted, _WANTED))

    @property
    def read_in_ranges(self) -> str:
        """Parquet files, whose parts are row groups."""
        return r"\.parquet$"

    def notes(self, folder: Path) -> list[Note]:
        """The files that are passed over."""
        return passed_over(folder, frozenset(self._files(folder)).__contains__)

    def scan(self, folder: Path, part: Part) -> PartScan:
        """Count documents, and hash them where duplicates are wanted out."""
        count, hashes, passed = 0, [], PassedOver()
        notes = [_COMPRESSED] if is_compressed(part.file) and part.size >= NOTED_BYTES else []
        try:
            for record in (
                self.texts(folder, part, passed) if self.dedupe == "exact" else self._places(folder, part, passed)
            ):
                count += 1 if record is None else record.lost
                hashes.append(text_hash(record.text) if record is not None and record.text is not None else NO_HASH)
        except ColumnError as error:
            if all(kind_of(name) == "csv" for name in _names(self, folder)):
                raise
            notes.append(Note("passed-over", str(error)))
        return PartScan(
            part=msgspec.structs.replace(part, count=count),
            agents=[AGENT],
            notes=[*notes, *passed.notes(" in archives")],
            hashes=pack_hashes(hashes) if self.dedupe == "exact" else b"",
        )

    def files_to_scan(self, folder: Path, part: Part) -> list[str] | None:
        """None is opened where parts know how many documents they have, and duplicates may stay."""
        return [] if self._is_counted(part.file) and self.dedupe == "off" else None

    def read(self, folder: Path, part: Part, task: TaskInfo) -> Iterator[Item]:
        """The documents of one part."""
        if not part.count:
            return
        for ordinal, record in enumerate(self.texts(folder, part)):
            if ordinal == part.count:
                return
            if record.text is None:
                yield bad(record.key, record.reason, count=record.lost, ordinal=ordinal)
                continue
            document = Document(task=part.task, agent=AGENT, source_episode_id=record.id, segments=(Text(record.text),))
            yield Item(record.key, ordinal, document)

    def files_of(self, folder: Path, part: Part) -> list[str]:
        """Names of the files of a part."""
        if not self._is_whole(part.file):
            return [part.file]
        names = [name for name in _names(self, folder) if self._is_whole(name)]
        return names[part.first : part.first + part.count]

    def texts(self, folder: Path, part: Part, passed: PassedOver | None = None) -> Iterator[TextRecord]:
        """The texts of a part one by one; `passed` counts the members of archives that are no texts."""
        path, kind, window = root_of(folder) / part.file, kind_of(part.file), self.max_window
        if self._is_whole(part.file):
            return (read_whole(root_of(folder) / name, name, window) for name in self.files_of(folder, part))
        if kind == "json":
            return read_json(path, part, self._decode, window)
        if kind == "csv":
            return read_csv(path, part.file, self.text_key, window)
        if kind == "archive":
            return read_archive(path, self._read_member, passed or PassedOver(), window)
        if kind == "parquet":
            return read_texts(path, part, self.text_key)
        if kind == "tfrecord":
            return read_tfrecord(path, part, self.text_key)
        return read_plain(path, part, self._separator, window)

    def _read_member(self, file: ArchivedFile) -> Iterator[TextRecord] | None:
        """The texts of a member of an archive; None where it is passed over."""
        kind = kind_of(file.name) if not is_compressed(file.name) and not is_about(file.name) else ""
        if kind == "json":
            return texts_of(lines_of(file), self._decode, f"{file.name}, ")
        if kind != "plain":
            return None
        if not self._separator:
            return iter([whole_text(file, file.name)])
        return texts_of(filled(split_passages(file, self._separator)), plain_text, f"{file.name}, ")

    def _places(self, folder: Path, part: Part, passed: PassedOver) -> Iterator[TextRecord | None]:
        """One value per document, without parsing any where that can be avoided."""
        kind = kind_of(part.file)
        if kind == "json":
            return (None for _ in filled_lines(root_of(folder) / part.file, part, self.max_window))
        if self._is_counted(part.file):
            return iter([None] * part.count)
        return iter(self.texts(folder, part, passed))


@lru_cache(maxsize=2)
def _names(source: Source, folder: Path) -> list[str]:
    """A worker lists the files once, not once per part."""
    return source._files(folder)


def is_findable(separator: bytes) -> bool:
    """Whether a separator is found in the same places from wherever one begins: no end of it is its beginning."""
    return bool(separator) and not any(separator.endswith(separator[:n]) for n in range(1, len(separator)))
