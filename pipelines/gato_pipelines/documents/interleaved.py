"""Pages in tar archives, as Energon's interleaved sets hold them: `KEY.json` lists images and texts, `KEY.name.jpg`
is an image that it calls `name.jpg`.
"""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import EpisodeError
from gato_pipelines.documents.formats.json_values import decode_json
from gato_pipelines.documents.formats.tars import Member, Tar, opened_tar, tar_members
from gato_pipelines.documents.image_files import MISSING, ImageFiles, read_range
from gato_pipelines.documents.pages import PageImage, PagePart, interleaved_parts
from gato_pipelines.documents.source import bad
from gato_pipelines.files.passed_over import is_about
from gato_pipelines.source import Item

MAX_PAGE_BYTES = 1 << 24
"""Bytes of the list of one page."""
_LOOKED_AT = 1000
"""Members of an archive among which the first list is looked for."""


class _Page(msgspec.Struct, frozen=True):
    images: list[str | None]
    texts: list[str | None]


_DECODER = msgspec.json.Decoder(_Page)
_NO_PAGE = "the .json member lists no images and texts"


@dataclass(slots=True)
class Sample:
    """The members of one key.

    Attributes:
        key: all before the first dot of the name, with its folder.
        page: the list of images and texts; None where there is none.
        images: the other members, by what follows that dot.
    """

    key: str
    page: Member | None = None
    images: dict[str, Member] = field(default_factory=dict)


@dataclass(slots=True)
class Interleaved:
    """An archive of pages: its samples that have a list, in order, and what is wrong with it."""

    samples: list[Sample]
    bad: list[Item]


def is_interleaved(path: Path) -> bool:
    """Whether the first .json among the first members of an archive lists images and texts."""
    try:
        with opened_tar(path) as tar:
            for member in islice(tar_members(tar), _LOOKED_AT):
                if member.name.endswith(".json") and not member.reason and not is_about(member.name):
                    return _is_page(tar, member)
    except (OSError, tarfile.TarError):
        return False
    return False


def _is_page(tar: Tar, member: Member) -> bool:
    try:
        _page(tar, member)
    except EpisodeError:
        return False
    return True


def list_interleaved(tar: Tar) -> Interleaved:
    """What an archive holds; the members of a sample may stand anywhere, the first of a name counts."""
    samples: dict[str, Sample] = {}
    wrong: list[Item] = []
    try:
        for member in tar_members(tar):
            folder, _, name = member.name.rpartition("/")
            stem, _, rest = name.partition(".")
            if member.reason:
                wrong.append(bad(member.name, member.reason))
                continue
            key = f"{folder}/{stem}" if folder else stem
            sample = samples.setdefault(key, Sample(key))
            if rest == "json":
                sample.page = sample.page or member
            else:
                sample.images.setdefault(rest, member)
    except tarfile.TarError as error:
        wrong.append(bad("archive", f"the rest of the archive cannot be read ({error})"))
    return Interleaved([sample for sample in samples.values() if sample.page is not None], wrong)


def sample_parts(tar: Tar, sample: Sample) -> Iterator[PagePart]:
    """The entries of a page in order.

    Raises:
        EpisodeError: the list is none, or its images and texts do not go together.
    """
    assert sample.page is not None
    page = _page(tar, sample.page)

    def image(value: Any) -> Iterator[PageImage]:
        if isinstance(value, str):
            yield PageImage(value, partial(_read, tar.handle, sample.images.get(value)))

    return interleaved_parts(page.images, page.texts, image)


def _page(tar: Tar, member: Member) -> _Page:
    if member.size > MAX_PAGE_BYTES:
        raise EpisodeError(f"the list of the page is longer than {MAX_PAGE_BYTES >> 20} MiB", stage="read")
    page: _Page = decode_json(_DECODER, os.pread(tar.handle, member.size, member.offset), _NO_PAGE)
    return page


def _read(handle: int, member: Member | None, images: ImageFiles) -> bytes:
    if member is None:
        raise EpisodeError(MISSING, stage="read")
    return read_range(handle, member.offset, member.size)
