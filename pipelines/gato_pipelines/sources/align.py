"""ALIGN's kind of data: images and their alt texts from the web, as img2dataset downloads them."""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.documents.source import setting
from gato_pipelines.documents.webdataset import WebdatasetSource


@dataclass(frozen=True)
class Source(WebdatasetSource):
    """Images and alt texts: webdataset .tar archives, such as LAION's."""

    licence: ClassVar[str] = "images belong to their owners"
    example: ClassVar[str] = "gato-data ingest align laion400m --out align"

    family: str = setting("align", WebdatasetSource.__dataclass_fields__["family"].metadata["help"])
