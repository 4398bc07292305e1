"""Samples in tar archives as img2dataset writes them: `000000012.jpg`, `.txt` and `.json` side by side."""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import msgspec

from gato_data.errors import EpisodeError
from gato_pipelines.documents.files import find_files, root_of
from gato_pipelines.documents.pairs import Pair, PairOrBad, PairSource
from gato_pipelines.documents.pictures import MISSING, read_piece
from gato_pipelines.documents.shuffle import draw
from gato_pipelines.documents.source import AGENT, bad
from gato_pipelines.documents.tars import Member, tar_members
from gato_pipelines.source import Item, PartScan, setting
from gato_schemas.episode import Text
from gato_schemas.index import Part

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp", "gif", "bmp")
MAX_CAPTION_BYTES = 1 << 20
_ARCHIVES = "uncompressed .tar archives"


@dataclass(slots=True)
class Sample:
    """The members of one key: (offset, size) of each, (0, 0) where there is none."""

    key: str
    image: tuple[int, int] = (0, 0)
    text: tuple[int, int] = (0, 0)
    json: tuple[int, int] = (0, 0)

    def add(self, suffix: str, member: Member) -> None:
        """Note where a member lies; the first of its kind counts."""
        kind = "image" if suffix in IMAGE_SUFFIXES else {"txt": "text", "json": "json"}.get(suffix)
        if kind and not getattr(self, kind)[1]:
            setattr(self, kind, (member.offset, member.size))


@dataclass(slots=True)
class Archive:
    """What a tar archive holds: samples in order, and what is wrong with it."""

    samples: list[Sample] = field(default_factory=list)
    bad: list[Item] = field(default_factory=list)


def read_archive(path: Path) -> Archive:
    """List an archive; members of one sample stand next to each other, in any order."""
    found = Archive()
    try:
        for member in tar_members(path):
            if member.reason:
                found.bad.append(bad(member.name, member.reason))
                continue
            folder, _, name = member.name.rpartition("/")
            stem, dot, suffix = name.partition(".")
            key = f"{folder}/{stem}" if folder else stem
            if not dot or not stem:
                continue
            if not found.samples or found.samples[-1].key != key:
                found.samples.append(Sample(key))
            found.samples[-1].add(suffix.lower(), member)
    except tarfile.TarError as error:
        found.bad.append(bad("archive", f"the rest of the archive cannot be read ({error})"))
    return found


@dataclass(frozen=True)
class WebdatasetSource(PairSource):
    """Reads pairs out of tar archives, each of which is one part; the fields are settings."""

    read_by_part: ClassVar[str] = r"\.tar$"

    caption_key: str = setting("caption", "Key of the caption in .json members, where there is no .txt.")

    def parts(self, folder: Path) -> list[Part]:
        """One part per archive; `count` becomes known in the scan."""
        root = root_of(folder)
        names = find_files(folder, lambda name: name.lower().endswith(".tar"), _ARCHIVES)
        return [Part(name, self.task_name, (root / name).stat().st_size) for name in names]

    def scan(self, folder: Path, part: Part) -> PartScan:
        """List the archive."""
        found = read_archive(root_of(folder) / part.file)
        count = max(self.count_episodes(len(found.samples)), 1)
        return PartScan(part=msgspec.structs.replace(part, count=count), agents=[AGENT])

    def pairs(self, folder: Path, part: Part) -> Iterator[PairOrBad]:
        """The samples of an archive, shuffled within it."""
        path = root_of(folder) / part.file
        found = read_archive(path)
        yield from found.bad
        with path.open("rb", buffering=0) as file:
            wanted = part.count * self.pairs_per_episode
            for number in draw(0, wanted, len(found.samples), self.seed, part.file).tolist():
                yield self._pair(file.fileno(), found.samples[number])

    def _pair(self, handle: int, sample: Sample) -> PairOrBad:
        if not sample.image[1]:
            return bad(sample.key, MISSING)
        try:
            text = self._caption(handle, sample)
        except EpisodeError as error:
            return Item(sample.key, 0, error=error)
        return Pair(sample.key, sample.key, Text(text), partial(read_piece, handle, *sample.image))

    def _caption(self, handle: int, sample: Sample) -> str:
        offset, size = sample.text if sample.text[1] else sample.json
        if size > MAX_CAPTION_BYTES:
            raise EpisodeError(f"the caption is longer than {MAX_CAPTION_BYTES >> 20} MiB", stage="read")
        data = os.pread(handle, size, offset)
        try:
            if sample.text[1] or not size:
                return data.decode().strip()
            found = msgspec.json.decode(data, type=dict[str, object]).get(self.caption_key)
        except UnicodeDecodeError as error:
            raise EpisodeError("the text is not valid UTF-8", stage="decode") from error
        except (msgspec.MsgspecError, RecursionError) as error:
            raise EpisodeError("the .json member is not a JSON object", stage="decode") from error
        return found.strip() if isinstance(found, str) else ""
