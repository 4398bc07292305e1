"""The tokens of one field over a whole episode, and how fields are laid out side by side, timestep by timestep."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_schemas.sequence import Modality

MAX_TOKENS = 2**31 - 1
"""Tokens of one episode: offsets are int32."""


@dataclass(frozen=True, slots=True)
class FieldTokens:
    """The tokens of one field.

    Attributes:
        ids: int32, flat, of all timesteps; or the one id that stands everywhere.
        width: tokens of every timestep, or int64 (T,) of each.
        modality: what they stand for.
        supervised: whether they are trained on.
        position: the reserved code of these tokens, None where the index within the timestep counts.
    """

    ids: NDArray[np.int32] | int
    width: int | NDArray[np.int64]
    modality: Modality
    supervised: bool
    position: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Interleaved:
    """Columns side by side: N tokens of T timesteps, as in `TokenSequence`; `starts` is int64 (T + 1,)."""

    tokens: NDArray[Any]
    loss_mask: NDArray[np.uint8]
    modality: NDArray[np.uint8]
    position: NDArray[np.uint16]
    starts: NDArray[np.int64]


def interleave(columns: Sequence[FieldTokens], steps: int, dtype: str) -> Interleaved:
    """Lay columns out: all tokens of the first timestep in the order of the columns, then those of the second, ...

    Args:
        columns: in token order, at least one.
        steps: number of timesteps, T.
        dtype: of the tokens.

    Raises:
        EpisodeError: there are more tokens than a record can count.
    """
    total = sum(int(np.broadcast_to(column.width, steps).sum(dtype=np.int64)) for column in columns)
    if total > MAX_TOKENS:
        raise EpisodeError(f"the episode has {total} tokens, at most {MAX_TOKENS} can be counted: cut it into parts")
    regular = all(isinstance(column.width, int) for column in columns)
    return _regular(columns, steps, dtype) if regular else _ragged(columns, steps, dtype)


def _regular(columns: Sequence[FieldTokens], steps: int, dtype: str) -> Interleaved:
    """Every timestep looks like the first: one row of everything but the ids, repeated."""
    widths: list[int] = [int(column.width) for column in columns]
    ends = np.cumsum(widths)
    width = int(ends[-1])
    tokens = np.empty((steps, width), dtype)
    position = np.arange(width).astype(np.uint16)  # documents are longer, and have codes alone
    for column, end, count in zip(columns, ends, widths, strict=True):
        ids = column.ids if isinstance(column.ids, int) else column.ids.reshape(steps, count)
        tokens[:, end - count : end] = ids
        if column.position is not None:
            position[end - count : end] = column.position
    return Interleaved(
        tokens=tokens.reshape(-1),
        loss_mask=np.tile(np.repeat(_supervised(columns), widths), steps),
        modality=np.tile(np.repeat(_modalities(columns), widths), steps),
        position=np.tile(position, steps),
        starts=np.arange(steps + 1, dtype=np.int64) * width,
    )


def _ragged(columns: Sequence[FieldTokens], steps: int, dtype: str) -> Interleaved:
    """Timesteps differ in length: first which column each token belongs to, then everything else from that."""
    widths = np.stack([np.broadcast_to(np.asarray(column.width, np.int64), steps) for column in columns], axis=1)
    owner = np.repeat(np.tile(np.arange(len(columns), dtype=np.uint16), steps), widths.reshape(-1))
    lengths = widths.sum(axis=1)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    tokens = np.empty(len(owner), dtype)
    position = (np.arange(len(owner)) - np.repeat(starts[:-1], lengths)).astype(np.uint16)
    for number, column in enumerate(columns):
        slots = owner == number
        tokens[slots] = column.ids
        if column.position is not None:
            position[slots] = column.position
    return Interleaved(tokens, _supervised(columns)[owner], _modalities(columns)[owner], position, starts)


def _supervised(columns: Sequence[FieldTokens]) -> NDArray[np.uint8]:
    return np.array([column.supervised for column in columns], np.uint8)


def _modalities(columns: Sequence[FieldTokens]) -> NDArray[np.uint8]:
    return np.array([column.modality for column in columns], np.uint8)
