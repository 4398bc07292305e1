"""LTIP's kind of data: images with long descriptions, as img2dataset downloads them."""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.documents.source import setting
from gato_pipelines.documents.webdataset import WebdatasetSource


@dataclass(frozen=True)
class Source(WebdatasetSource):
    """Images and long texts: webdataset .tar archives."""

    licence: ClassVar[str] = "images belong to their owners"
    example: ClassVar[str] = "gato-data ingest ltip tars --out ltip"

    family: str = setting("ltip", WebdatasetSource.__dataclass_fields__["family"].metadata["help"])
