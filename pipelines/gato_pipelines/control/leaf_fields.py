"""What one feature of a dataset becomes: its modality, the size of its images, its field."""

import re
from dataclasses import dataclass
from typing import Literal

from gato_data.errors import SettingError
from gato_data.image_fit import ImageFit
from gato_data.image_header import GRAY, RGB, RGBA
from gato_pipelines.control.frame_stacks import FrameStack, Stack, one_frame, stack_of
from gato_pipelines.rlds.decode import NUMERIC_DTYPES, STRING_DTYPES, is_decodable
from gato_pipelines.rlds.features import Kind, Leaf
from gato_schemas.dataset import ImageInfo
from gato_schemas.episode import Field, FieldModality
from gato_schemas.sequence import PATCH_SIZE

SMALLEST_GRAY = 32
"""Sides from which bytes of shape (H, W) are an image: smaller grids, such as NetHack's 21x79,
are symbols."""
LARGEST_GRID = 40
"""Sides below which bytes may be symbols: MiniGrid's levels have up to 25 cells,
rendered ones 40 pixels."""
_MAP = re.compile(r"(^|[/_\-.])(depths?|labels?|masks?|panoptic|seg|segm|segmentations?|semantic)\d*([/_\-.]|$)")
"""Names of images whose values are labels or distances."""


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """How images are read.

    Attributes:
        size: height and width that they get; None for one of their own.
        fit: how they get it.
        stack: whether those that can be stacked frames are.
    """

    size: tuple[int, int] | None = None
    fit: Literal["resize", "pad"] = "resize"
    stack: FrameStack = "auto"

    def stack_of(self, leaf: Leaf) -> Stack | None:
        """The stack of which the newest frame is taken; None where the whole value is."""
        return stack_of(leaf) if self.stack == "newest" else None

    def frame_of(self, leaf: Leaf) -> Leaf:
        """The leaf that is left when of stacked frames the newest is taken."""
        stack = self.stack_of(leaf)
        return leaf if stack is None else one_frame(leaf, stack)


DEFAULT = ImageChoice()


def modality_of(leaf: Leaf) -> FieldModality:
    """How a leaf becomes tokens; bytes of an image's size are an image, even where they are called a tensor."""
    if leaf.kind in (Kind.IMAGE, Kind.VIDEO) or _is_picture(leaf):
        return "image"
    if leaf.dtype in STRING_DTYPES:
        return "text"
    return "continuous" if leaf.dtype.startswith("float") else "discrete"


def _is_picture(leaf: Leaf) -> bool:
    if leaf.dtype != "uint8" or leaf.sequences or len(leaf.shape) not in (2, 3) or None in leaf.shape:
        return False
    has_channels = len(leaf.shape) == 3
    smallest = PATCH_SIZE if has_channels else SMALLEST_GRAY
    return (not has_channels or leaf.shape[2] in (1, 3)) and all((side or 0) >= smallest for side in leaf.shape[:2])


def is_grid(leaf: Leaf, below: int) -> bool:
    """Whether a leaf is a grid of symbols, (H, W, layers) or (H, W): whole numbers, fewer than `below` a side."""
    if leaf.sequences or len(leaf.shape) not in (2, 3) or not leaf.dtype.startswith(("int", "uint")):
        return False
    if leaf.kind == Kind.VIDEO or leaf.image_format == "jpeg":  # which keep no symbols
        return False
    return all(side is not None and side < below for side in leaf.shape)


def is_map(name: str) -> bool:
    """Whether what looks like an image is a map of labels, masks or distances by its name."""
    return _MAP.search(name.lower()) is not None


def unreadable(leaf: Leaf) -> str:
    """Why a leaf cannot become tokens at all; empty where it can."""
    if not is_decodable(leaf):
        return "of a type that cannot be read"
    if leaf.kind == Kind.IMAGE and leaf.dtype != "uint8":
        return f"an image of {leaf.dtype} (a depth map?)"
    if leaf.kind != Kind.IMAGE and leaf.dtype not in NUMERIC_DTYPES | STRING_DTYPES:
        return f"of dtype {leaf.dtype or 'unknown'}"
    return ""


def field_of(leaf: Leaf, name: str, choice: ImageChoice = DEFAULT, modality: FieldModality | None = None) -> Field:
    """The field that a leaf becomes, of its own modality or of another one.

    Raises:
        SettingError: an image has no fixed size and none is given, or cannot be padded to the one
            given.
    """
    leaf = choice.frame_of(leaf)
    modality = modality or modality_of(leaf)
    if modality == "image":
        fit = fit_of(leaf, choice)
        height, width = (side or 0 for side in leaf.shape[:2])
        size = fit.size(height, width)
        content = fit.content(height, width) if height and width else size
        if content[0] > size[0] or content[1] > size[1]:
            raise SettingError(
                f"images of {leaf.path} are {height}x{width} pixels, which cannot be padded to {size[0]}x{size[1]}: "
                "give a larger --image-size, or use --image-fit resize"
            )
        return Field(name, "image", (*size, 3), leaf.dtype, content=None if content == size else content)
    shape = () if modality == "text" else tuple(side or 0 for side in (*leaf.sequences, *leaf.shape))
    return Field(name, modality, shape, leaf.dtype, start=leaf.start)


def image_info(leaf: Leaf, choice: ImageChoice) -> ImageInfo | None:
    """The raw images of a leaf that is one of images, and their fit; None where they have channels that no image has.

    Raises:
        SettingError: as `fit_of`.
    """
    fit, stack = fit_of(leaf, choice), choice.stack_of(leaf)
    height, width, channels = (*choice.frame_of(leaf).shape, GRAY)[:3]
    if channels not in (GRAY, RGB, RGBA):
        return None
    return ImageInfo(
        shape=(height, width, channels),  # type: ignore[arg-type]
        mode=fit.mode,
        scales=fit.scales,
        size=(fit.height, fit.width),
        frames=stack.frames if stack else 1,
        frames_first=stack is not None and stack.first,
    )


def fit_of(leaf: Leaf, choice: ImageChoice) -> ImageFit:
    """How the images of a leaf get sides that are multiples of 16 pixels: by default the nearest ones.

    Raises:
        SettingError: they have no fixed size, and none is given.
    """
    leaf = choice.frame_of(leaf)
    if choice.size is not None:
        return ImageFit(*choice.size, choice.fit, scales=False)
    if None in leaf.shape[:2]:
        raise SettingError(f"images of {leaf.path} have no fixed size: give one with --image-size")
    if choice.fit == "pad":
        return ImageFit(scales=False, mode="pad")
    height, width = (max(PATCH_SIZE, round((side or 0) / PATCH_SIZE) * PATCH_SIZE) for side in leaf.shape[:2])
    return ImageFit(height, width)
