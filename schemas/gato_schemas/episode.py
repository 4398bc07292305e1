"""Episode (timesteps as a struct of arrays), Document (segments in order), and the specification of fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, prod
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from gato_schemas.bounds import MAX_DIMENSIONS, MAX_ELEMENTS, Side
from gato_schemas.sequence import PATCH_BYTES, Modality

FieldModality: TypeAlias = Literal["text", "image", "discrete", "continuous"]
Bound: TypeAlias = float | tuple[float, ...]
"""One end of a range: of all elements of a value, or of each of them, row-major."""
Bins: TypeAlias = Literal["1024", "openvla-256"]
"""How [-1, 1] is cut: the paper's 1,024 equal bins, or OpenVLA's 256; see `gato_data.tokenizers.continuous`."""
Start: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
Value: TypeAlias = Sequence[str] | NDArray[Any]
"""T values of one field: strings for text, (T, H, W, 3) uint8 for image, (T, ...) integers or floats."""


@dataclass(frozen=True, slots=True)
class Field:
    """One observation or action field.

    Attributes:
        name: its path in the nested structure, "camera/front".
        modality: how it becomes tokens.
        shape: of one timestep's value; () for a scalar and for text, (H, W, 3) after fitting for an image.
        dtype: of the raw values, for information.
        low: least value of the range that is mapped to [-1, 1] before binning, of all elements or of each of them
            (row-major); None leaves values as they are.
        high: largest value of that range, likewise.
        compand: whether mu-law companding applies (continuous observations; never actions).
        content: (height, width) of an image's content when it was padded; None where it fills the image.
        start: the discrete value that has the first id; 0 unless the values of a space do not fit from there on.
        bins: how a continuous action is cut, where it is not as the paper does; see `binning`.
    """

    name: str
    modality: FieldModality
    shape: tuple[Side, ...] = ()
    dtype: str = ""
    low: Bound | None = None
    high: Bound | None = None
    compand: bool = True
    content: tuple[Side, Side] | None = None
    start: Start = 0
    bins: Literal["openvla-256"] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        shape = self.shape
        if min(shape, default=0) < 0 or len(shape) > MAX_DIMENSIONS or prod(shape) > MAX_ELEMENTS:
            raise ValueError(f"field {self.name} has the shape {shape[:MAX_DIMENSIONS]}")
        for end in (self.low, self.high):
            ends = end if isinstance(end, tuple) else () if end is None else (end,)
            if not all(map(isfinite, ends)) or (isinstance(end, tuple) and len(end) != prod(shape)):
                raise ValueError(f"field {self.name!r} of {prod(shape)} elements has a range that is none: {ends[:8]}")

    @property
    def binning(self) -> Bins:
        """How its continuous values are cut."""
        return "1024" if self.bins is msgspec.UNSET else self.bins

    @property
    def token_modality(self) -> Modality:
        """What its tokens stand for."""
        return Modality.PATCH if self.modality == "image" else Modality[self.modality.upper()]

    @property
    def num_tokens(self) -> int:
        """Tokens of one timestep's value; 0 for text, whose length varies."""
        if self.modality == "text":
            return 0
        return prod(self.shape) // PATCH_BYTES if self.modality == "image" else prod(self.shape)

    def of_element(self, number: int) -> "Field":
        """The same field with the range of one element, counted row-major, as its only range."""
        ends = (end[number] if isinstance(end, tuple) else end for end in (self.low, self.high))
        low, high = ends
        return self if (low, high) == (self.low, self.high) else replace(self, low=low, high=high)


@dataclass(frozen=True, slots=True)
class EpisodeSpec:
    """The fields of one task: observations in any order (the tokenizer sorts them), actions in this order."""

    observations: tuple[Field, ...]
    actions: tuple[Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Episode:
    """T timesteps of one interaction.

    Attributes:
        task: its name.
        agent: name of who acted.
        source_episode_id: the source's own id, may be empty.
        observations: T values of every field.
        actions: T values of every action field.
        reward: float32 (T,), or None where the source has none.
        episode_return: the sum of all rewards, of a dropped final step too; NaN where there are none.
        is_terminal: whether the episode ended in a terminal state.
        histograms: int64 (256,) of each image field, how often each raw pixel value occurs, before any fitting.
    """

    task: str
    agent: str = ""
    source_episode_id: str = ""
    observations: Mapping[str, Value]
    actions: Mapping[str, Value]
    reward: NDArray[np.float32] | None = None
    episode_return: float = float("nan")
    is_terminal: bool = False
    histograms: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in a document: uint8 (H, W, 3), H and W multiples of 16, and its content before padding."""

    pixels: NDArray[np.uint8]
    content: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A text in a document.

    Attributes:
        text: the text.
        supervised: False for a text that is not trained on.
        unsupervised: leading characters that are not trained on although the rest is, such as a question.
        ends: False for a text that goes on behind an image, so that no end-of-sentence piece follows it.
    """

    text: str
    supervised: bool = True
    unsupervised: int = 0
    ends: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An episode without timesteps: texts and images in order."""

    task: str
    agent: str = ""
    source_episode_id: str = ""
    segments: tuple[Text | Image, ...] = field(default_factory=tuple)
