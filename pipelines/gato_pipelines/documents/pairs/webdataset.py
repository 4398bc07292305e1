"""Samples in tar archives as img2dataset writes them: `000000012.jpg`, `.txt` and `.json` side by side."""

import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import msgspec

from gato_data.errors import EpisodeError
from gato_pipelines.documents.formats.tars import Member, Tar, is_tar, opened_tar, tar_members
from gato_pipelines.documents.image_files import IMAGE_SUFFIXES, MISSING, read_range
from gato_pipelines.documents.pairs.captions import MAX_CAPTION_BYTES, json_caption, plain_caption
from gato_pipelines.documents.pairs.shuffle import draw
from gato_pipelines.documents.pairs.source import Pair, PairOrBad, PairSource
from gato_pipelines.documents.source import AGENT, bad
from gato_pipelines.files.find import find_files, root_of
from gato_pipelines.files.passed_over import is_about, passed_over
from gato_pipelines.source import Item, PartScan, setting
from gato_schemas.account import Note, merge_notes
from gato_schemas.episode import Text
from gato_schemas.index import Part

_UNREAD = ("avif", "heic", "heif", "jxl", "svg", "tif", "tiff")
_ARCHIVES = ".tar archives, plain or compressed"


@dataclass(slots=True)
class Sample:
    """The members of one key: (offset, size) of each, (0, 0) where there is none; the suffix of an unread image."""

    key: str
    image: tuple[int, int] = (0, 0)
    text: tuple[int, int] = (0, 0)
    json: tuple[int, int] = (0, 0)
    unread: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether it has an image and something to take its text from."""
        return bool(self.image[1] and (self.text[1] or self.json[1]))


@dataclass(slots=True)
class Archive:
    """What a tar archive holds: samples in order, what is wrong with it, and how many members are nothing of these."""

    samples: list[Sample] = field(default_factory=list)
    bad: list[Item] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    _seen: Counter[str] = field(default_factory=Counter)  # suffixes of the last sample

    def add(self, key: str, suffix: str, member: Member) -> None:
        """Note where a member lies; the first of its kind in a sample counts."""
        if not self.samples or self.samples[-1].key != key:
            self.samples.append(Sample(key))
            self._seen.clear()
        copies = max(self._seen.values(), default=1)
        self._seen[suffix] += 1
        if self._seen[suffix] > copies:
            self.bad.append(bad(key, "a second sample of the same key: the first one is taken"))
        kind = "image" if suffix in IMAGE_SUFFIXES else {"txt": "text", "json": "json"}.get(suffix)
        if kind is None:
            self.left_out[f".{suffix.rpartition('.')[2]} members of archives"] += 1
            self.samples[-1].unread = suffix if suffix in _UNREAD else self.samples[-1].unread
        elif not getattr(self.samples[-1], kind)[1]:
            setattr(self.samples[-1], kind, (member.offset, member.size))
        elif self._seen[suffix] == 1:
            self.left_out["images behind the first one of their sample"] += 1

    def gather(self) -> None:
        """Take samples out that are in pieces, a dead letter for each."""
        pieces = Counter(sample.key for sample in self.samples if not sample.is_whole)
        known = {sample.key for sample in self.samples if sample.is_whole and sample.key in pieces}
        scattered = {key for key, count in pieces.items() if count > 1 and key not in known}
        lost = known | scattered
        self.samples = [sample for sample in self.samples if sample.is_whole or sample.key not in lost]
        self.bad += [bad(key, "the members of a sample must stand together") for key in sorted(scattered)]
        if apart := sum(pieces[key] for key in known):
            self.left_out["members of archives that stand apart from their sample"] += apart

    def notes(self) -> list[Note]:
        """What of the archive is no token."""
        return merge_notes(Note("left-out", what, count) for what, count in sorted(self.left_out.items()))


def read_archive(tar: Tar) -> Archive:
    """List an archive; members of one sample stand next to each other, in any order."""
    found = Archive()
    try:
        for member in tar_members(tar):
            folder, _, name = member.name.rpartition("/")
            stem, dot, suffix = name.partition(".")
            if member.reason:
                found.bad.append(bad(member.name, member.reason))
            elif not dot or not stem or is_about(name) or is_about(f"{stem}.txt"):
                found.left_out["members of archives that belong to no sample"] += 1
            else:
                found.add(f"{folder}/{stem}" if folder else stem, suffix.lower(), member)
    except tarfile.TarError as error:
        found.bad.append(bad("archive", f"the rest of the archive cannot be read ({error})"))
    found.gather()
    return found


@dataclass(frozen=True)
class WebdatasetSource(PairSource):
    """Reads pairs out of tar archives, each of which is one part; the fields are settings."""

    read_by_part: ClassVar[str] = r"\.(tar(\.[a-z0-9]+)?|t[gx]z|tbz2)$"

    caption_key: str = setting("caption", "Key of the caption in .json members, where there is no .txt.")
    allow_missing_shards: bool = setting(False, "Go on without archives that are Git LFS pointers.")

    def parts(self, folder: Path) -> list[Part]:
        """One part per archive; `count` becomes known in the scan."""
        root = root_of(folder)
        names = find_files(folder, is_tar, _ARCHIVES)
        return [Part(name, self.task_name, (root / name).stat().st_size) for name in names]

    def notes(self, folder: Path) -> list[Note]:
        """What lies beside the archives."""
        return passed_over(folder, is_tar)

    def scan(self, folder: Path, part: Part) -> PartScan:
        """List the archive."""
        with opened_tar(root_of(folder) / part.file) as tar:
            found = read_archive(tar)
        count = max(self.count_episodes(len(found.samples)), 1)
        return PartScan(part=msgspec.structs.replace(part, count=count), agents=[AGENT], notes=found.notes())

    def pairs(self, folder: Path, part: Part) -> Iterator[PairOrBad]:
        """The samples of an archive, shuffled within it."""
        with opened_tar(root_of(folder) / part.file) as tar:
            found = read_archive(tar)
            yield from found.bad
            wanted = part.count * self.pairs_per_episode
            for number in draw(0, wanted, len(found.samples), self.seed, part.file).tolist():
                yield self._pair(tar.handle, found.samples[number])

    def _pair(self, handle: int, sample: Sample) -> PairOrBad:
        if not sample.image[1]:
            return bad(sample.key, f"images of format .{sample.unread} are not read" if sample.unread else MISSING)
        try:
            text, notes = self._caption(handle, sample)
        except EpisodeError as error:
            return Item(sample.key, 0, error=error)
        return Pair(sample.key, sample.key, Text(text), partial(read_range, handle, *sample.image), notes)

    def _caption(self, handle: int, sample: Sample) -> tuple[str, tuple[Note, ...]]:
        """The text of a sample; empty where it has neither a .txt nor a .json."""
        offset, size = sample.text if sample.text[1] else sample.json
        data = os.pread(handle, min(size, MAX_CAPTION_BYTES + 1), offset)
        if sample.text[1] or not size:
            return plain_caption(data), ()
        return json_caption(data, self.caption_key)
