"""Counts and per-field statistics as they stand in sidecars and manifests; `gato_data.statistics` gathers them."""

from typing import Annotated

import msgspec


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much there is; `tokens_by_modality` is in the order of `gato_schemas.sequence.Modality`."""

    episodes: int = 0
    records: int = 0
    timesteps: int = 0
    images: int = 0
    patches: int = 0
    tokens: int = 0
    loss_tokens: int = 0
    tokens_by_modality: Annotated[tuple[int, ...], msgspec.Meta(min_length=5, max_length=5)] = (0, 0, 0, 0, 0)


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
    count: int
    nan: int
    low: list[float]
    high: list[float]
    mean: list[float]
    m2: list[float]
    saturated: list[int]
    bins: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,256}$")]
