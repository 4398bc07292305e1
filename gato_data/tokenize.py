"""Episode or Document -> TokenSequence (paper section 2.1 and appendix B), as arrays over whole episodes.

    timestep  = text, images, tensors (each kind sorted by key), separator, actions
    episode   = timesteps in time order: T (k + m + n + 1 + A) tokens
    document  = texts and images in order

A field becomes a `Column`: its ids for all timesteps and how many of them each timestep has. Columns of constant
width are placed by slices of a (T, L) table, columns of varying width (text) by computed slots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_data.tokenizers import continuous, discrete, image
from gato_data.vocabulary import Vocabulary
from gato_schemas.episode import Document, Episode, EpisodeSpec, Field, Text, Value
from gato_schemas.sequence import (
    PATCH_SHAPE,
    POSITION_ACTION,
    POSITION_NONE,
    POSITION_SEPARATOR,
    Modality,
    TokenSequence,
)


class TextModel(Protocol):
    """What the tokenizer needs of a text model."""

    @property
    def eos_id(self) -> int | None:
        """Id of the end-of-sentence piece, None where the model has none."""

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Ids of each text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizeSettings:
    """The choices that the paper leaves open; each is stored in the manifest and part of the fingerprint.

    Attributes:
        compand_observations: mu-law companding of continuous observations ("each floating-point element");
            a single field opts out through `Field.compand`.
        loss_on_text_observations: train on text inside observations ("nontextual observations are not predicted").
        loss_on_separator: train on the separator; neither text nor action, so not by the letter.
        end_of_text_observations: end a text inside an observation with the end-of-sentence piece.
        end_of_text_documents: end a text of a document with the end-of-sentence piece.
        max_observation_tokens: rows of the table of local positions (appendix C.3: 512).
    """

    compand_observations: bool = True
    loss_on_text_observations: bool = True
    loss_on_separator: bool = False
    end_of_text_observations: bool = False
    end_of_text_documents: bool = True
    max_observation_tokens: int = 512


@dataclass(frozen=True, slots=True)
class Column:
    """The ids of one field: int32, flat, with a constant width or (T,) widths per timestep."""

    ids: NDArray[np.int32]
    width: int | NDArray[np.int64]
    modality: Modality
    supervised: bool
    position: int | None = None


def sort_key(name: str) -> list[str]:
    """Order of nested keys: lexicographic at every level."""
    return name.split("/")


def ordered(fields: Sequence[Field]) -> list[Field]:
    """Observation fields in token order: text, images, tensors; each kind sorted by key."""
    rank = {"text": 0, "image": 1, "discrete": 2, "continuous": 2}
    return sorted(fields, key=lambda field: (rank[field.modality], sort_key(field.name)))


def tokenize_episode(
    episode: Episode,
    spec: EpisodeSpec,
    vocabulary: Vocabulary,
    settings: TokenizeSettings,
    text_model: TextModel | None = None,
) -> TokenSequence:
    """Tokens of all timesteps of an episode.

    Raises:
        EpisodeError: a field is missing, has another shape, or a value that has no token; or a timestep has
            more observation tokens than `max_observation_tokens`; or there is no timestep.
    """
    fields = ordered(spec.observations)
    steps = _num_timesteps(episode, [*fields, *spec.actions])
    images = [_images(episode.observations[field.name], field) for field in fields if field.modality == "image"]
    columns = [_observation(episode.observations, field, vocabulary, settings, text_model) for field in fields]
    separator = np.full(steps, vocabulary.separator, np.int32)
    columns.append(Column(separator, 1, Modality.SEPARATOR, settings.loss_on_separator, POSITION_SEPARATOR))
    columns += [_action(episode.actions[field.name], field, vocabulary) for field in spec.actions]
    layout = _Layout(columns, steps)
    _check_observation_tokens(layout, len(fields), settings.max_observation_tokens)
    patches, patch_position, image_grid = _interleave(images, [f for f in fields if f.modality == "image"], steps)
    reward = np.full(steps, np.nan, np.float32) if episode.reward is None else episode.reward
    return TokenSequence(
        tokens=layout.table([column.ids for column in columns], vocabulary.token_dtype),
        loss_mask=layout.table([int(column.supervised) for column in columns], "u1"),
        modality=layout.table([int(column.modality) for column in columns], "u1"),
        position=layout.positions(),
        timestep_starts=layout.starts[:-1].astype(np.int32),
        reward=np.asarray(reward, np.float32),
        patches=patches,
        patch_position=patch_position,
        image_grid=image_grid,
    )


def tokenize_document(
    document: Document,
    vocabulary: Vocabulary,
    settings: TokenizeSettings,
    text_model: TextModel,
) -> TokenSequence:
    """Tokens of the segments of a document, in order; no separators, no timesteps, no positions.

    Raises:
        EpisodeError: the document has no token, or an image's side is no multiple of 16.
    """
    texts = iter(text_model.encode([s.text for s in document.segments if isinstance(s, Text)]))
    columns, pictures, sizes = [], [], []
    for segment in document.segments:
        if isinstance(segment, Text):
            ids = next(texts)
            if settings.end_of_text_documents and text_model.eos_id is not None:
                ids = np.append(ids, np.int32(text_model.eos_id))
            columns.append(Column(ids, len(ids), Modality.TEXT, segment.supervised))
        else:
            patches = image.to_patches(segment.pixels[None])[0]
            filler = np.full(len(patches), vocabulary.patch_filler, np.int32)
            columns.append(Column(filler, len(filler), Modality.PATCH, False))
            pictures.append(patches)
            sizes.append((segment.pixels.shape[:2], segment.content or segment.pixels.shape[:2]))
    if not any(len(column.ids) for column in columns):
        raise EpisodeError("the document is empty: at least one token is wanted")
    layout = _Layout(columns, 1)
    first = np.cumsum([0] + [len(patches) for patches in pictures])
    grids = [(f, *image.grid(*size), *content) for f, (size, content) in zip(first, sizes, strict=False)]
    positions = [image.patch_positions(rows, columns_) for _, rows, columns_, _, _ in grids]
    return TokenSequence(
        tokens=layout.table([column.ids for column in columns], vocabulary.token_dtype),
        loss_mask=layout.table([int(column.supervised) for column in columns], "u1"),
        modality=layout.table([int(column.modality) for column in columns], "u1"),
        position=np.full(int(layout.starts[-1]), POSITION_NONE, np.uint16),
        timestep_starts=np.zeros(0, np.int32),
        reward=np.zeros(0, np.float32),
        patches=np.concatenate([np.zeros((0, *PATCH_SHAPE), np.uint8), *pictures]),
        patch_position=np.concatenate([np.zeros((0, 4), np.uint8), *positions]),
        image_grid=np.array(grids, np.int32).reshape(-1, 5),
    )


class _Layout:
    """Where the columns of every timestep stand in the sequence."""

    def __init__(self, columns: Sequence[Column], steps: int) -> None:
        self.columns = columns
        self.regular = all(isinstance(column.width, int) for column in columns)
        self.widths = np.stack([np.broadcast_to(np.asarray(column.width), steps) for column in columns])  # (C, T)
        self.starts = np.concatenate([[0], np.cumsum(self.widths.sum(axis=0))])  # (T + 1,)

    def table(self, values: Sequence[NDArray[Any] | int], dtype: str) -> NDArray[Any]:
        """One value or array per column, laid out in token order."""
        out = np.empty(int(self.starts[-1]), dtype)
        for number, value in enumerate(values):
            self._put(out, number, value)
        return out

    def positions(self) -> NDArray[np.uint16]:
        """Index within the timestep; reserved codes where a column has one."""
        index = np.arange(self.starts[-1]) - np.repeat(self.starts[:-1], np.diff(self.starts))
        out: NDArray[np.uint16] = index.astype(np.uint16)
        for number, column in enumerate(self.columns):
            if column.position is not None:
                self._put(out, number, column.position)
        return out

    def _put(self, out: NDArray[Any], number: int, value: NDArray[Any] | int) -> None:
        if self.regular:
            steps = self.widths.shape[1]
            begin = int(self.widths[:number, 0].sum())
            width = int(self.widths[number, 0])
            slots = out.reshape(steps, -1)[:, begin : begin + width]
            slots[...] = value if isinstance(value, int) else value.reshape(steps, width)
            return
        widths = self.widths[number]
        begins = self.starts[:-1] + self.widths[:number].sum(axis=0)
        before = np.concatenate([[0], np.cumsum(widths)[:-1]])
        out[np.arange(int(widths.sum())) + np.repeat(begins - before, widths)] = value


def _num_timesteps(episode: Episode, fields: Sequence[Field]) -> int:
    values = {**episode.actions, **episode.observations}
    for field in fields:
        if field.name not in values:
            raise EpisodeError(f"field {field.name} is missing: the episode has {', '.join(sorted(values))}")
    lengths = {field.name: len(values[field.name]) for field in fields}
    if episode.reward is not None:
        lengths["reward"] = len(episode.reward)
    if len(set(lengths.values())) != 1:
        raise EpisodeError(f"fields have different numbers of timesteps: {lengths}")
    steps = next(iter(lengths.values()))
    if not steps:
        raise EpisodeError("the episode has no timestep")
    return steps


def _observation(
    values: Any, field: Field, vocabulary: Vocabulary, settings: TokenizeSettings, text_model: TextModel | None
) -> Column:
    raw = values[field.name]
    if field.modality == "text":
        return _text(raw, field, settings, text_model)
    if field.modality == "image":
        rows, columns = image.grid(raw.shape[1], raw.shape[2], field.name)
        filler = np.full(len(raw) * rows * columns, vocabulary.patch_filler, np.int32)
        return Column(filler, rows * columns, Modality.PATCH, False)
    compand = settings.compand_observations and field.compand
    ids, width, modality = _tensor(raw, field, vocabulary, compand=compand)
    return Column(ids, width, modality, False)


def _action(raw: Value, field: Field, vocabulary: Vocabulary) -> Column:
    if field.modality not in ("discrete", "continuous"):
        raise EpisodeError(f"action {field.name} is {field.modality}: discrete or continuous is wanted")
    ids, width, modality = _tensor(np.asarray(raw), field, vocabulary, compand=False)
    return Column(ids, width, modality, True, POSITION_ACTION)


def _tensor(
    raw: NDArray[Any], field: Field, vocabulary: Vocabulary, *, compand: bool
) -> tuple[NDArray[np.int32], int, Modality]:
    if raw.shape[1:] != field.shape:
        raise EpisodeError(f"{field.name} has shape {raw.shape[1:]} in this episode: {field.shape} is wanted")
    width = int(np.prod(field.shape, dtype=int))
    if field.modality == "discrete":
        ids = discrete.encode(raw, field=field.name) + np.int32(vocabulary.discrete_offset)
        return ids.reshape(-1), width, Modality.DISCRETE
    if field.low is not None and field.high is not None:
        raw = continuous.rescale(raw, field.low, field.high)
    ids = continuous.encode(raw, compand=compand, field=field.name) + np.int32(vocabulary.continuous_offset)
    return ids.reshape(-1), width, Modality.CONTINUOUS


def _text(raw: Sequence[str], field: Field, settings: TokenizeSettings, text_model: TextModel | None) -> Column:
    if text_model is None:
        raise EpisodeError(f"{field.name} is text: a text model is wanted")
    pieces = text_model.encode(raw)
    if settings.end_of_text_observations and text_model.eos_id is not None:
        pieces = [np.append(ids, np.int32(text_model.eos_id)) for ids in pieces]
    widths = np.array([len(ids) for ids in pieces], np.int64)
    ids = np.concatenate(pieces).astype(np.int32)
    width = int(widths[0]) if (widths == widths[0]).all() else widths
    return Column(ids, width, Modality.TEXT, settings.loss_on_text_observations)


def _check_observation_tokens(layout: _Layout, observations: int, limit: int) -> None:
    per_step = layout.widths[:observations].sum(axis=0)
    if (worst := int(per_step.max())) > limit:
        raise EpisodeError(
            f"timestep {int(per_step.argmax())} has {worst} observation tokens, at most {limit} were expected: "
            "raise --max-observation-tokens, or make images smaller"
        )


def _images(raw: Value, field: Field) -> NDArray[np.uint8]:
    """Patches of an image field, uint8 (T, m, 16, 16, 3)."""
    pixels = np.asarray(raw)
    if pixels.shape[1:] != field.shape:
        raise EpisodeError(f"{field.name} has shape {pixels.shape[1:]} in this episode: {field.shape} is wanted")
    return image.to_patches(pixels)


def _interleave(
    images: Sequence[NDArray[np.uint8]], fields: Sequence[Field], steps: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32]]:
    """Patches of all image fields in token order, with their positions and the grid of every image."""
    if not images:
        return np.zeros((0, *PATCH_SHAPE), np.uint8), np.zeros((0, 4), np.uint8), np.zeros((0, 5), np.int32)
    together = images[0] if len(images) == 1 else np.concatenate(images, axis=1)
    grids = [image.grid(field.shape[0], field.shape[1], field.name) for field in fields]
    positions = np.concatenate([image.patch_positions(*size) for size in grids])
    first = np.cumsum([0] + [rows * columns for rows, columns in grids])
    table = np.empty((steps, len(fields), 5), np.int32)
    for number, (field, (rows, columns)) in enumerate(zip(fields, grids, strict=True)):
        table[:, number, 0] = np.arange(steps) * first[-1] + first[number]
        table[:, number, 1:] = (rows, columns, *(field.content or field.shape[:2]))
    tiled = np.broadcast_to(positions, (steps, *positions.shape)).reshape(-1, 4)
    return together.reshape(-1, *PATCH_SHAPE), tiled, table.reshape(-1, 5)
