"""ALIGN's kind of data: images and their alt texts from the web, as img2dataset downloads them."""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.documents.pairs.webdataset import WebdatasetSource
from gato_pipelines.documents.source import family_setting


@dataclass(frozen=True)
class Source(WebdatasetSource):
    """Images from the web with their alt texts, such as LAION's."""

    licence: ClassVar[str] = "images belong to their owners"
    formats: ClassVar[str] = "webdataset .tar (img2dataset, LAION)"
    tokens_per_timestep: ClassVar[str] = "144 an image of 192x192, then its alt text"
    example: ClassVar[str] = "gato-data ingest align laion400m --out align"

    family: str = family_setting("align")
