"""Episode or Document -> TokenSequence (paper section 2.1 and appendix B), as arrays over whole episodes.

    timestep  = text, images, tensors (each kind sorted by key), separator, actions
    episode   = timesteps in time order: T (k + m + n + 1 + A) tokens
    document  = texts and images in order

A field becomes a `FieldTokens`: its ids for all timesteps and how many of them each timestep has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, SettingError
from gato_data.settings import check, setting
from gato_data.tokenizers import continuous, discrete, episode_images
from gato_data.tokenizers.columns import MAX_TOKENS, FieldTokens, interleave
from gato_data.vocabulary import Vocabulary
from gato_schemas.episode import Document, Episode, EpisodeSpec, Field, Text, Value
from gato_schemas.sequence import (
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

    def id_of(self, piece: str) -> int | None:
        """Id of a piece as the model spells it, None where it has no such piece."""


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
        end_token: the piece that ends a text, as the text model spells it; empty for the model's own.
        max_observation_tokens: rows of the table of local positions (appendix C.3: 512).
        chunk_tokens: most tokens of a record, but for a timestep or an image that is longer; None for as many as
            `gato_data.shards.chunks` has by itself. No token depends on it; policies take demonstrations of up to
            1,024 tokens from the first record of an episode.

    Raises:
        SettingError: a number is out of range.
    """

    compand_observations: bool = True
    loss_on_text_observations: bool = setting(True, "Train on text inside observations, such as a mission, as well.")
    loss_on_separator: bool = False
    end_of_text_observations: bool = False
    end_of_text_documents: bool = True
    end_token: str = setting(
        "", "Piece that ends a text, as the text model spells it; by default its own.", "PIECE", records_default=False
    )
    max_observation_tokens: int = setting(512, "Most observation tokens of a timestep.", minimum=1)
    chunk_tokens: int | None = setting(
        None,
        "Most tokens of a record; 1024 suits a small cache of what is at an address.",
        "N",
        minimum=1024,
        maximum=4096,
        refusal="chunk_tokens {value} is not possible: a number from {minimum} to {maximum} is wanted",
        records_default=False,
    )

    def __post_init__(self) -> None:
        if not 1 <= self.max_observation_tokens <= POSITION_NONE:
            raise SettingError(
                f"at most {self.max_observation_tokens} observation tokens in a timestep cannot be: a number from 1 to "
                f"{POSITION_NONE} is wanted (the positions above are reserved)"
            )
        check(self)


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
    steps = _num_timesteps(episode, fields, spec.actions)
    images = [episode_images.size_of(field) for field in fields if field.modality == "image"]
    pixels = [np.asarray(episode.observations[field.name]) for field in fields if field.modality == "image"]
    columns = observed(episode.observations, fields, steps, vocabulary, settings, text_model)
    columns += [acted(episode.actions[field.name], field, vocabulary) for field in spec.actions]
    laid = interleave(columns, steps, vocabulary.token_dtype)
    positions, image_grid = episode_images.grids(images, steps)
    return TokenSequence(
        tokens=laid.tokens,
        loss_mask=laid.loss_mask,
        modality=laid.modality,
        position=laid.position,
        timestep_starts=laid.starts[:-1].astype(np.int32),
        reward=_reward(episode, steps),
        patches=episode_images.patches(pixels, images, steps),
        patch_position=positions,
        image_grid=image_grid,
    )


def observed(
    values: Mapping[str, Any],
    fields: Sequence[Field],
    steps: int,
    vocabulary: Vocabulary,
    settings: TokenizeSettings,
    text_model: TextModel | None,
) -> list[FieldTokens]:
    """The tokens of the observations of T timesteps by field, in the order given, and of their separators.

    Raises:
        EpisodeError: a value has another shape or no token, or a timestep has more than `max_observation_tokens`.
    """
    columns = [_observation(values[field.name], field, vocabulary, settings, text_model) for field in fields]
    _check_observation_tokens(columns, settings.max_observation_tokens, steps)
    separator = FieldTokens(vocabulary.separator, 1, Modality.SEPARATOR, settings.loss_on_separator, POSITION_SEPARATOR)
    return [*columns, separator]


def acted(raw: Value, field: Field, vocabulary: Vocabulary) -> FieldTokens:
    """The tokens of the T values of one action field.

    Raises:
        EpisodeError: a value has another shape or no token.
    """
    if field.modality not in ("discrete", "continuous"):
        raise EpisodeError(f"action {field.name} is {field.modality}: discrete or continuous is wanted")
    ids, width, modality = _tensor(np.asarray(raw), field, vocabulary, compand=False)
    return FieldTokens(ids, width, modality, True, POSITION_ACTION)


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
    images, pixels = [], []
    pieces: list[tuple[NDArray[np.int32], Modality, bool]] = []
    for segment in document.segments:
        if isinstance(segment, Text):
            tail = _end_of_text(text_model, settings, wanted=settings.end_of_text_documents and segment.ends)
            ids = _joined([next(texts)], tail, vocabulary)
            skip = _unsupervised(ids, segment, text_model)
            pieces.append((ids[:skip], Modality.TEXT, False))
            pieces.append((ids[skip:], Modality.TEXT, segment.supervised))
        else:
            images.append(episode_images.ImageSize("image", segment.pixels.shape, segment.content))
            pixels.append(segment.pixels[None])
            filler = np.full(images[-1].num_patches, vocabulary.patch_filler, np.int32)
            pieces.append((filler, Modality.PATCH, False))
    lengths = [len(ids) for ids, _, _ in pieces]
    if not sum(lengths):
        raise EpisodeError("the document is empty: at least one token is wanted")
    if sum(lengths) > MAX_TOKENS:
        raise EpisodeError(f"the document has {sum(lengths)} tokens, at most {MAX_TOKENS} can be counted")
    positions, image_grid = episode_images.grids(images, 1)
    return TokenSequence(
        tokens=np.concatenate([ids for ids, _, _ in pieces]).astype(vocabulary.token_dtype),
        loss_mask=np.repeat(np.array([supervised for _, _, supervised in pieces], np.uint8), lengths),
        modality=np.repeat(np.array([modality for _, modality, _ in pieces], np.uint8), lengths),
        position=np.full(sum(lengths), POSITION_NONE, np.uint16),
        timestep_starts=np.zeros(0, np.int32),
        reward=np.zeros(0, np.float32),
        patches=episode_images.patches(pixels, images, 1),
        patch_position=positions,
        image_grid=image_grid,
    )


def _unsupervised(ids: NDArray[np.int32], text: Text, text_model: TextModel) -> int:
    """Leading ids that are not trained on: those that the leading characters alone have too."""
    if not text.unsupervised:
        return 0
    head = text_model.encode([text.text[: text.unsupervised]])[0]
    same = head[: len(ids)] == ids[: len(head)]
    return int(np.argmin(same)) if not same.all() else len(same)


def _num_timesteps(episode: Episode, observations: Sequence[Field], actions: Sequence[Field]) -> int:
    lengths: dict[str, int] = {}
    for role, fields, values in (
        ("observation", observations, episode.observations),
        ("action", actions, episode.actions),
    ):
        for field in fields:
            if field.name not in values:
                raise EpisodeError(
                    f"{role} {field.name} is missing: the episode has {', '.join(sorted(values)) or 'none'}"
                )
            lengths[f"{role} {field.name}"] = len(values[field.name])
    if episode.reward is not None:
        lengths["reward"] = len(episode.reward)
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise EpisodeError(f"fields have different numbers of timesteps: {found}")
    steps = next(iter(lengths.values()), 0)
    if not steps:
        raise EpisodeError("the episode has no timestep")
    return steps


def _reward(episode: Episode, steps: int) -> NDArray[np.float32]:
    if episode.reward is None:
        return np.full(steps, np.nan, np.float32)
    reward = np.asarray(episode.reward, np.float32)
    if reward.shape != (steps,):
        raise EpisodeError(f"the reward has shape {reward.shape}: one number per timestep is wanted")
    return reward


def _observation(
    raw: Any, field: Field, vocabulary: Vocabulary, settings: TokenizeSettings, text_model: TextModel | None
) -> FieldTokens:
    if field.modality == "text":
        return _text(raw, field, vocabulary, settings, text_model)
    if field.modality == "image":
        return FieldTokens(vocabulary.patch_filler, episode_images.size_of(field).num_patches, Modality.PATCH, False)
    compand = settings.compand_observations and field.compand
    ids, width, modality = _tensor(np.asarray(raw), field, vocabulary, compand=compand)
    return FieldTokens(ids, width, modality, False)


def _tensor(
    raw: NDArray[Any], field: Field, vocabulary: Vocabulary, *, compand: bool
) -> tuple[NDArray[np.int32], int, Modality]:
    if raw.shape[1:] != field.shape:
        raise EpisodeError(f"{field.name} has shape {raw.shape[1:]} in this episode: {field.shape} is wanted")
    if field.modality == "discrete":
        ids = discrete.encode(raw, field=field.name, start=field.start)
        ids += np.int32(vocabulary.discrete_offset)
        return ids.reshape(-1), field.num_tokens, Modality.DISCRETE
    ids = continuous.encode(raw, compand=compand, field=field.name, low=field.low, high=field.high, bins=field.binning)
    ids += np.int32(vocabulary.continuous_offset)
    return ids.reshape(-1), field.num_tokens, Modality.CONTINUOUS


def _text(
    raw: Sequence[str], field: Field, vocabulary: Vocabulary, settings: TokenizeSettings, text_model: TextModel | None
) -> FieldTokens:
    if text_model is None:
        raise EpisodeError(f"{field.name} is text: a text model is wanted")
    pieces = text_model.encode(raw)
    tail = _end_of_text(text_model, settings, wanted=settings.end_of_text_observations)
    widths = np.array([len(ids) for ids in pieces], np.int64) + len(tail)
    width = int(widths[0]) if (widths == widths[0]).all() else widths
    return FieldTokens(_joined(pieces, tail, vocabulary), width, Modality.TEXT, settings.loss_on_text_observations)


def end_id(text_model: TextModel, settings: TokenizeSettings) -> int | None:
    """Id of what ends a text; None where the text model has no such piece.

    Raises:
        SettingError: the piece that was asked for is none of the text model.
    """
    if not settings.end_token:
        return text_model.eos_id
    if (number := text_model.id_of(settings.end_token)) is None:
        raise SettingError(
            f"the text model has no piece {settings.end_token!r}: --end-token takes one as it spells them "
            "(gato-data vocabulary show MODEL --text shows some)"
        )
    return number


def _end_of_text(text_model: TextModel, settings: TokenizeSettings, *, wanted: bool) -> NDArray[np.int32]:
    end = end_id(text_model, settings) if wanted else None
    return np.array([] if end is None else [end], np.int32)


def _joined(pieces: Sequence[NDArray[np.int32]], tail: NDArray[np.int32], vocabulary: Vocabulary) -> NDArray[np.int32]:
    """The ids of texts one after the other, each with its end."""
    ids = np.concatenate([part for piece in pieces for part in (piece, tail)] if len(tail) else pieces)
    if (largest := int(ids.max(initial=-1))) >= vocabulary.text_size:
        raise SettingError(
            f"the text model gives id {largest}, the vocabulary has text ids below {vocabulary.text_size}: "
            "take the vocabulary of this text model"
        )
    return ids


def _check_observation_tokens(columns: Sequence[FieldTokens], limit: int, steps: int) -> None:
    per_step = np.broadcast_to(sum((np.asarray(column.width) for column in columns), np.int64(0)), steps)
    if (worst := int(per_step.max())) > limit:
        raise EpisodeError(
            f"timestep {int(per_step.argmax())} has {worst} observation tokens, at most {limit} were expected: "
            "raise --max-observation-tokens, or make images smaller"
        )
