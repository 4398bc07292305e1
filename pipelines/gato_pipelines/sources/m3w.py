"""M3W's kind of data: pages with texts and images in order: MMC4's JSON lines, OBELICS' parquet, interleaved tars."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import msgspec

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.documents.formats.json_values import decode_json
from gato_pipelines.documents.formats.ranges import file_parts, part_limit
from gato_pipelines.documents.formats.tars import is_tar, opened_tar
from gato_pipelines.documents.image_files import IMAGE_SUFFIXES, open_images
from gato_pipelines.documents.image_source import ImageSource
from gato_pipelines.documents.interleaved import is_interleaved, list_interleaved, sample_parts
from gato_pipelines.documents.pages import Mmc4Page, PageImages, obelics_parts, read_page
from gato_pipelines.documents.pairs.tables import images_path
from gato_pipelines.documents.source import AGENT, check_window, family_setting, window_setting
from gato_pipelines.documents.texts.records import filled_lines
from gato_pipelines.documents.texts.rows import read_rows, row_parts
from gato_pipelines.files.find import find_files, root_of
from gato_pipelines.files.passed_over import is_about, passed_over, without_about
from gato_pipelines.files.streams import plain_name
from gato_pipelines.source import Item, PartScan, setting
from gato_schemas.account import Note
from gato_schemas.dataset import TaskInfo
from gato_schemas.index import Part

_LINES, _ROWS = (".jsonl", ".ndjson", ".json"), ".parquet"
_COLUMNS = ("images", "texts")
_WANTED = "MMC4's .jsonl files (plain, .zip, .gz, .zst, .xz, .bz2), OBELICS' .parquet files, interleaved .tar archives"
_SPLITS = Path(".nv-meta", "split.yaml")
_PICTURES = tuple(f".{suffix}" for suffix in IMAGE_SUFFIXES)


@dataclass(frozen=True)
class Source(ImageSource):
    """Web pages with texts and images in their order."""

    licence: ClassVar[str] = "MMC4: ODC-BY; OBELICS: CC-BY-4.0; images belong to their owners"
    formats: ClassVar[str] = "MMC4 .jsonl, OBELICS .parquet, interleaved .tar (Energon)"
    tokens_per_timestep: ClassVar[str] = "144 an image of 192x192, between texts"
    example: ClassVar[str] = "gato-data ingest m3w mmc4 --images mmc4/images --out m3w --max-bad 1000"

    family: str = family_setting("m3w")
    max_window: int = window_setting()
    allow_missing_shards: bool = setting(False, "Go on without files that are Git LFS pointers.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_window(self.max_window)

    def parts(self, folder: Path) -> list[Part]:
        """Byte ranges of lines, runs of row groups, whole archives."""
        root = root_of(folder)
        names = _page_files(folder)
        open_images(images_path(self.images, folder))
        limit = part_limit(root, names)
        parts = []
        for name in names:
            if name.lower().endswith(_ROWS):
                parts += row_parts(root / name, name, self.task_name, _COLUMNS, limit)
            else:
                parts += file_parts(root / name, name, self.task_name, limit, shared=not is_tar(name))
        return parts

    @property
    def read_in_ranges(self) -> str:
        """Parquet files, whose parts are row groups."""
        return r"\.parquet$"

    def notes(self, folder: Path) -> list[Note]:
        """The files that are passed over and are no images."""
        split = [Note("read", "all archives are read, whatever split .nv-meta/split.yaml puts them into")]
        return [*(split if (folder / _SPLITS).is_file() else ()), *passed_over(folder, _is_read)]

    def scan(self, folder: Path, part: Part) -> PartScan:
        """Count lines; rows are counted already."""
        if part.file.lower().endswith(_ROWS):
            return PartScan(part=part, agents=[AGENT])
        if is_tar(part.file):
            with opened_tar(root_of(folder) / part.file) as tar:
                count = max(len(list_interleaved(tar).samples), 1)
            return PartScan(part=msgspec.structs.replace(part, count=count), agents=[AGENT])
        count = sum(1 for _ in filled_lines(root_of(folder) / part.file, part, self.max_window))
        return PartScan(part=msgspec.structs.replace(part, count=count), agents=[AGENT])

    def read(self, folder: Path, part: Part, task: TaskInfo) -> Iterator[Item]:
        """The pages of one part."""
        album = PageImages(open_images(images_path(self.images, folder)), self.fit)
        pages = self._rows if part.file.lower().endswith(_ROWS) else self._lines
        pages = self._samples if is_tar(part.file) else pages
        yield from pages(root_of(folder) / part.file, part, album)

    def _lines(self, path: Path, part: Part, album: PageImages) -> Iterator[Item]:
        decoder = msgspec.json.Decoder(Mmc4Page)
        for ordinal, line in enumerate(filled_lines(path, part, self.max_window)):
            if ordinal == part.count:
                return
            key = f"byte {line.start}"
            try:
                if line.data is None:
                    raise EpisodeError(line.reason, stage="read")
                page = decode_json(decoder, line.data, "the line is no page of MMC4")
            except EpisodeError as error:
                yield Item(key, ordinal, error=error)
                continue
            yield from read_page(part.task, key, ordinal, page.url or "", page.parts(), album)

    def _samples(self, path: Path, part: Part, album: PageImages) -> Iterator[Item]:
        with opened_tar(path) as tar:
            found = list_interleaved(tar)
            yield from found.bad
            for ordinal, sample in enumerate(found.samples[: part.count]):
                try:
                    entries = sample_parts(tar, sample)
                except EpisodeError as error:
                    yield Item(sample.key, ordinal, error=error)
                    continue
                yield from read_page(part.task, sample.key, ordinal, sample.key, entries, album, text_alone=True)

    def _rows(self, path: Path, part: Part, album: PageImages) -> Iterator[Item]:
        row = part.first
        try:
            for row, values in read_rows(path, part, _COLUMNS):
                entries = obelics_parts(values["images"], values["texts"])
                yield from read_page(part.task, f"row {row}", row - part.first, "", entries, album)
                row += 1
        except EpisodeError as error:
            lost = max(part.first + part.count - row, 1)
            yield Item(f"row {row}", part.count, error=error, count=lost)


def _page_files(folder: Path) -> list[str]:
    """The files of pages: of archives those that are interleaved, the others may hold the images.

    Raises:
        InputError: there are none.
    """
    found = find_files(folder, lambda name: _is_page_file(name) or is_tar(name), _WANTED)
    names = [name for name in found if not is_tar(name) or is_interleaved(root_of(folder) / name)]
    if not names:
        raise InputError(f"{folder} holds none of these: {_WANTED}")
    return without_about(names)


def _is_page_file(name: str) -> bool:
    return name.lower().endswith(_ROWS) or plain_name(name).endswith(_LINES)


def _is_read(name: str) -> bool:
    if is_tar(name) or name.lower().endswith(_PICTURES):
        return True
    return _is_page_file(name) and not is_about(name)
