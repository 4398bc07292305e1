"""What all sources of images share: where the images are, and how they get their size."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gato_data.image_fit import ImageFit
from gato_pipelines.documents.source import DocumentSource
from gato_pipelines.images.document import image_libraries
from gato_pipelines.source import setting


@dataclass(frozen=True)
class ImageSource(DocumentSource):
    """Reads documents with images; the fields are settings."""

    images: str = setting("", "Folder, .tar or .zip of the images; by default INPUT itself.", "PATH")
    # 144 patches: five images take 720 of a context of 1024 tokens and leave 60 for each text,
    # several times what captions and questions need. At 224 pixels five images would take 980.
    image_size: tuple[int, int] = setting(
        (192, 192), "Pixels of the images; of the default, five leave room for their texts in 1024 tokens.", "HxW"
    )
    image_fit: Literal["resize", "pad", "crop"] = setting(
        "resize", "How images get that size: scaled, scaled and padded, or scaled and cropped."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.fit

    @cached_property
    def fit(self) -> ImageFit:
        """How images get their size."""
        return ImageFit(*self.image_size, self.image_fit)

    def libraries(self) -> dict[str, str]:
        """What decodes and scales images."""
        return image_libraries()
