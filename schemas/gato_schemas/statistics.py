"""Counts and per-field statistics as they stand in sidecars and manifests; `gato_data.statistics` gathers them."""

from typing import Annotated

import msgspec

from gato_schemas.bounds import Natural


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much there is; `tokens_by_modality` is in the order of `gato_schemas.sequence.Modality`."""

    episodes: Natural = 0
    records: Natural = 0
    timesteps: Natural = 0
    images: Natural = 0
    patches: Natural = 0
    tokens: Natural = 0
    loss_tokens: Natural = 0
    tokens_by_modality: Annotated[tuple[Natural, ...], msgspec.Meta(min_length=5, max_length=5)] = (0, 0, 0, 0, 0)


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
