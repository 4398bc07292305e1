"""LTIP's kind of data: images with long descriptions, as img2dataset downloads them."""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.documents.pairs.webdataset import WebdatasetSource
from gato_pipelines.documents.source import family_setting


@dataclass(frozen=True)
class Source(WebdatasetSource):
    """Images from the web with long descriptions."""

    licence: ClassVar[str] = "images belong to their owners"
    formats: ClassVar[str] = "webdataset .tar (img2dataset)"
    tokens_per_timestep: ClassVar[str] = "144 an image of 192x192, then its text"
    example: ClassVar[str] = "gato-data ingest ltip tars --out ltip"

    family: str = family_setting("ltip")
