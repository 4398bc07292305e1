"""Counts and per-field statistics as they stand in sidecars and manifests; `gato_data.statistics` gathers them."""

from typing import Annotated

import msgspec
import numpy as np

from gato_schemas.bounds import Natural
from gato_schemas.record import Record
from gato_schemas.sequence import Modality


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much there is.

    `distinct_patches` is the sum of those of every record; `tokens_by_modality` is in the order of
    `gato_schemas.sequence.Modality`.
    """

    episodes: Natural = 0
    records: Natural = 0
    timesteps: Natural = 0
    images: Natural = 0
    patches: Natural = 0
    distinct_patches: Natural = 0
    tokens: Natural = 0
    loss_tokens: Natural = 0
    tokens_by_modality: Annotated[tuple[Natural, ...], msgspec.Meta(min_length=5, max_length=5)] = (0, 0, 0, 0, 0)

    @classmethod
    def of(cls, record: Record, distinct_patches: int) -> "Counts":
        """What one record with so many distinct patches holds; an episode is counted with its first chunk."""
        sequence = record.sequence
        return cls(
            episodes=int(record.chunk == 0),
            records=1,
            timesteps=sequence.num_timesteps,
            images=sequence.num_images,
            patches=sequence.num_patches,
            distinct_patches=distinct_patches,
            tokens=sequence.num_tokens,
            loss_tokens=int(sequence.loss_mask.sum(dtype=np.int64)),
            tokens_by_modality=tuple(np.bincount(sequence.modality, minlength=len(Modality)).tolist()),
        )

    def __add__(self, other: "Counts") -> "Counts":
        """Both together; `sum(counts, Counts())` adds any number."""
        numbers = {name: getattr(self, name) + getattr(other, name) for name in _NUMBERS}
        pairs = zip(self.tokens_by_modality, other.tokens_by_modality, strict=True)
        return Counts(**numbers, tokens_by_modality=tuple(a + b for a, b in pairs))


_NUMBERS = tuple(name for name in Counts.__struct_fields__ if name != "tokens_by_modality")


class FieldStatistics(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is known of the raw values of one field of one task; the lists hold one entry per element of a value.

    An image field has a single element: all its pixels. A text field has a single element: characters per text.

    Attributes:
        task, field, role: `role` is "observation" or "action".
        modality: text, image, discrete or continuous.
        count: values seen of each element, NaN not counted.
        nan: values that were NaN.
        low, high, mean: of each element, before any scaling, companding or clipping.
        m2: sum of squared deviations from the mean, of each element (variance = m2 / count).
        saturated: values outside the range that the tokenizer can tell apart, of each element.
        bins: a bitmap in hexadecimal of the ids used, over all elements; bit 0 is the first id.
    """

    task: str
    field: str
    role: str
    modality: str
    count: Natural
    nan: Natural
    low: list[float]
    high: list[float]
    mean: list[float]
    m2: list[float]
    saturated: list[Natural]
    bins: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,256}$")]

    def __post_init__(self) -> None:
        lengths = {len(values) for values in (self.low, self.high, self.mean, self.m2)}
        wanted = len(self.saturated) if self.count else 0
        if lengths != {wanted}:
            raise ValueError(f"the statistics of field {self.field!r} have lists of different lengths")
