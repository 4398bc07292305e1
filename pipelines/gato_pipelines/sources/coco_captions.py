"""MS-COCO Captions: official and Karpathy's annotations, five captions an image."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import ClassVar

import msgspec
import numpy as np

from gato_data.errors import InputError
from gato_data.permutation import Numbers
from gato_pipelines.documents.formats.annotations import Id, find_one, read_annotations
from gato_pipelines.documents.image_files import ImageFiles, read_first
from gato_pipelines.documents.pairs.shuffle import deal
from gato_pipelines.documents.pairs.source import Pair
from gato_pipelines.documents.pairs.tables import PairTable, TableSource, beside
from gato_pipelines.documents.source import bad, family_setting
from gato_pipelines.source import Item, setting
from gato_schemas.episode import Text


class _ListedImage(msgspec.Struct, frozen=True, gc=False):
    """An image of the official file, or of Karpathy's, which holds its captions too."""

    id: Id = ""
    file_name: str = ""
    filename: str = ""
    filepath: str = ""
    split: str = ""
    sentences: list["_Sentence"] = []


class _Sentence(msgspec.Struct, frozen=True, gc=False):
    raw: str | None = None
    sentid: Id = ""


class _Caption(msgspec.Struct, frozen=True, gc=False):
    image_id: Id = ""
    id: Id = ""
    caption: str | None = None


class _AnnotatedImage(msgspec.Struct, frozen=True):
    images: list[_ListedImage]
    annotations: list[_Caption] = []


@dataclass(frozen=True)
class CaptionTable:
    """Captions and the files of their images.

    Attributes:
        name: of the annotation file.
        captions: (id, text, number of the image) of every caption.
        files: names to look each image up by, the likeliest first.
        bad: captions without an image.
        shuffled: int64 (N,), the order of captions.
    """

    name: str
    captions: list[tuple[str, str, int]]
    files: list[tuple[str, ...]]
    bad: list[Item]
    shuffled: Numbers

    @property
    def size(self) -> int:
        """Number of captions."""
        return len(self.captions)

    def order(self, first: int, count: int) -> Numbers:
        """Captions at these places of the shuffle."""
        return self.shuffled[first : first + count]

    def pair(self, number: int, image_files: ImageFiles) -> Pair:
        """One caption and its image."""
        name, text, image = self.captions[number]
        files = self.files[image]
        return Pair(f"caption {name} of {files[0]}", name, Text(text), partial(read_first, image_files, files))


@dataclass(frozen=True)
class Source(TableSource):
    """MS-COCO Captions: photographs, each with the captions of five people."""

    licence: ClassVar[str] = "annotations CC-BY-4.0; images as on Flickr"
    formats: ClassVar[str] = "official and Karpathy JSON; images in a folder, .tar or .zip"
    tokens_per_timestep: ClassVar[str] = "144 an image of 192x192, then its caption"
    example: ClassVar[str] = "gato-data ingest coco-captions coco --split train --out coco-captions"

    family: str = family_setting("coco-captions")
    annotations: str = setting("", "Annotation file; by default the only one of that split in INPUT.", "FILE")
    split: str = setting("train", "Split: train, val, test, restval; several joined by commas.")

    def annotation_files(self, folder: Path) -> tuple[Path, ...]:
        """The annotation file."""
        if self.annotations:
            return (beside(folder, self.annotations),)
        if folder.is_file():
            return (folder,)
        patterns = tuple(
            pattern.format(place=place, split=self.split)
            for pattern in ("{place}captions_{split}*.json", "{place}dataset_coco.json", "{place}dataset*.json")
            for place in ("annotations/", "")
        )
        return (find_one(folder, patterns, "annotations of COCO captions", "--annotations"),)

    def read_table(self, folder: Path, files: tuple[Path, ...]) -> PairTable:
        """All captions of the split."""
        found = read_annotations(files[0], _AnnotatedImage, "annotations of COCO captions")
        chosen = [image for image in found.images if not image.split or image.split in self.split.split(",")]
        if not chosen:
            splits = ", ".join(sorted({image.split for image in found.images})) or "no picture at all"
            raise InputError(f"{files[0]} has no picture of split {self.split!r}: it has {splits}")
        captions: list[tuple[str, str, int]] = []
        wrong: list[Item] = []
        numbers = {image.id: number for number, image in enumerate(chosen) if image.id != ""}
        for caption in found.annotations:
            number = numbers.get(caption.image_id)
            if number is None:
                wrong.append(bad(f"caption {caption.id}", "the caption's picture is not in the list of images"))
            else:
                captions.append((str(caption.id), caption.caption or "", number))
        for number, image in enumerate(chosen):
            captions += [(str(sentence.sentid), sentence.raw or "", number) for sentence in image.sentences]
        shown = np.array([number for _, _, number in captions], np.int64)
        subset = files[0].stem.removeprefix("captions_")
        places = [tuple(_places(image, subset)) for image in chosen]
        return CaptionTable(files[0].name, captions, places, wrong, deal(shown, self.seed, self.pairs_per_episode))


def _places(image: _ListedImage, subset: str) -> Iterator[str]:
    """Where an image may be: in the folder of images, or in that of its year's split, such as train2017."""
    name = image.file_name or image.filename
    if image.filepath:
        yield f"{image.filepath}/{name}"
    yield name
    # COCO_train2014_000000000009.jpg; 000000000009.jpg since 2017
    pieces = PurePosixPath(name).name.split("_")
    yield f"{pieces[1] if len(pieces) == 3 else subset}/{name}"
