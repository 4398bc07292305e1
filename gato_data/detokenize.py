"""TokenSequence -> values: the inverse of `gato_data.tokenize`, up to the width of a bin."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_data.tokenize import TokenizeSettings, ordered
from gato_data.tokenizers import continuous, image
from gato_data.vocabulary import Vocabulary
from gato_schemas.episode import EpisodeSpec, Field
from gato_schemas.sequence import POSITION_ACTION, POSITION_SEPARATOR, Modality, TokenSequence


def _width(fields: Sequence[Field]) -> int:
    return sum(field.num_tokens for field in fields)


def id_range(field: Field, vocabulary: Vocabulary) -> tuple[int, int]:
    """First id and one past the last id that the values of a field may have."""
    first, end = vocabulary.id_range(field.token_modality)
    return first, min(end, first + continuous.num_bins(field.binning)) if field.modality == "continuous" else end


def decode_ids(
    ids: NDArray[np.integer], field: Field, vocabulary: Vocabulary, *, compand: bool = False
) -> NDArray[Any]:
    """Values of the ids of one tensor field, (T, *shape): int64 for discrete, float64 bin centres for continuous.

    Raises:
        EpisodeError: an id is outside the field's range.
    """
    first, end = id_range(field, vocabulary)
    ids = np.asarray(ids, np.int64)
    outside = (ids < first) | (ids >= end)
    if outside.any():
        raise EpisodeError(f"{field.name} has id {int(ids[outside][0])}: ids in [{first}, {end}) are wanted")
    values = (ids - first).reshape(-1 if ids.size else len(ids), *field.shape)
    if field.token_modality is Modality.DISCRETE:
        return values + field.start
    return continuous.decode(values, compand=compand, low=field.low, high=field.high, bins=field.binning)


def actions(sequence: TokenSequence, spec: EpisodeSpec, vocabulary: Vocabulary) -> dict[str, NDArray[Any]]:
    """The actions of every timestep by field, (T, *shape).

    Raises:
        EpisodeError: the action tokens do not fit the specification.
    """
    ids = sequence.tokens[sequence.position == POSITION_ACTION]
    width = _width(spec.actions)
    if len(ids) != sequence.num_timesteps * width:
        raise EpisodeError(f"{len(ids)} action tokens for {sequence.num_timesteps} timesteps of {width} were found")
    return dict(_split(ids.reshape(sequence.num_timesteps, width), spec.actions, vocabulary, compand_all=False))


def tensors(
    sequence: TokenSequence, spec: EpisodeSpec, vocabulary: Vocabulary, settings: TokenizeSettings
) -> dict[str, NDArray[Any]]:
    """The discrete and continuous observations of every timestep by field, (T, *shape).

    They are the last observation tokens, so they are found by counting back from the separator.

    Raises:
        EpisodeError: the observation tokens do not fit the specification.
    """
    fields = [field for field in ordered(spec.observations) if field.modality in ("discrete", "continuous")]
    width = _width(fields)
    if not width:
        return {}
    ends = np.flatnonzero(sequence.position == POSITION_SEPARATOR)
    if len(ends) != sequence.num_timesteps or (ends - sequence.timestep_starts < width).any():
        raise EpisodeError(f"{len(ends)} separators for {sequence.num_timesteps} timesteps were found, or too near")
    ids = sequence.tokens[ends[:, None] + np.arange(-width, 0)]
    return dict(_split(ids, fields, vocabulary, compand_all=settings.compand_observations))


def _split(
    ids: NDArray[Any], fields: Sequence[Field], vocabulary: Vocabulary, *, compand_all: bool
) -> Iterator[tuple[str, NDArray[Any]]]:
    at = 0
    for field in fields:
        width = field.num_tokens
        compand = compand_all and field.compand
        yield field.name, decode_ids(ids[:, at : at + width], field, vocabulary, compand=compand)
        at += width


def frames(sequence: TokenSequence) -> list[NDArray[np.uint8]]:
    """Every image of the sequence put back together, uint8 (h, w, 3) each, without padding."""
    return [image.from_patches(sequence.patches, row) for row in sequence.image_grid]
