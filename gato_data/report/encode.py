"""JSON of whatever was gathered: the one encoder of every `--json` and of the page's data."""

import dataclasses
import json
import math
from collections.abc import Iterable
from typing import Any

import msgspec

from gato_schemas.sequence import Modality
from gato_schemas.statistics import Counts


def as_json(answer: object) -> str:
    """One JSON object, indented, in ASCII: no character of the data can steer a terminal."""
    return json.dumps(plain(answer), indent=2, allow_nan=False)


def as_line(answer: object) -> str:
    """The same in one line, its keys sorted."""
    separators = (",", ":")
    return json.dumps(plain(answer), sort_keys=True, separators=separators, allow_nan=False)


def plain(value: Any) -> Any:
    """The value as JSON has it.

    Structs and dataclasses become objects, counts with their share in the loss; modalities their
    names, NaN and infinity null.
    """
    if value is None or type(value) in (str, int, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, Modality):
        return value.name.lower()
    if isinstance(value, Counts):
        return _counts(value)
    if isinstance(value, msgspec.Struct):
        keys = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        return {key: plain(getattr(value, name)) for key, name in keys}
    if dataclasses.is_dataclass(value):
        found = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {name: plain(entry) for name, entry in found.items() if entry is not msgspec.UNSET}
    return value


def _counts(counts: Counts) -> dict[str, Any]:
    return {
        "episodes": counts.episodes,
        "records": counts.records,
        "timesteps": counts.timesteps,
        "images": counts.images,
        "patches": counts.patches,
        "distinct_patches": counts.distinct_patches,
        "tokens": counts.tokens,
        "tokens_by_modality": by_modality(counts.tokens_by_modality),
        "loss_tokens": counts.loss_tokens,
        "loss_share": loss_share(counts.loss_tokens, counts.tokens),
    }


def loss_share(loss_tokens: int, tokens: int) -> float | None:
    """Share of tokens that are trained on; None of none."""
    return loss_tokens / tokens if tokens else None


def by_modality(tokens: Iterable[int]) -> dict[str, int]:
    """Numbers of tokens in the order of `Modality` by its names."""
    return {modality.name.lower(): int(n) for modality, n in zip(Modality, tokens, strict=True)}
