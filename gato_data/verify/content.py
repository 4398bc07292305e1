"""Is what a record holds possible: ids, mask, positions and patches against modality, vocabulary and task."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gato_data.tokenize import ordered
from gato_data.tokenizers.image import patch_positions
from gato_schemas.dataset import Manifest, TaskInfo, VocabularyInfo
from gato_schemas.record import Record
from gato_schemas.sequence import (
    POSITION_ACTION,
    POSITION_NONE,
    POSITION_SEPARATOR,
    Modality,
    TokenSequence,
)

Problem: TypeAlias = tuple[str, str]
"""Name of the check, and what is wrong."""
AnyNumber = TypeVar("AnyNumber", bound=np.generic)


class ContentCheck:
    """Checks records of one dataset; timesteps that repeat what was checked before are compared with it, and no more.

    Args:
        manifest: of the dataset.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._checked: dict[str, _CheckedTimestep] = {}

    def problems(self, record: Record) -> Iterator[Problem]:
        """Yield what is wrong with a record whose columns agree with each other; pixels are not looked at."""
        sequence, known = record.sequence, self._checked.get(record.task)
        if known is None or not known.repeats_in(sequence):
            found = [*_problems(record, self._manifest)]
            yield from found
            if not found and record.task in self._manifest.tasks:
                self._learn(record.task, sequence)
        yield from _patch_positions(sequence)

    def _learn(self, task: str, sequence: TokenSequence) -> None:
        period = sequence.num_tokens // max(sequence.num_timesteps, 1)
        if not period or not sequence.num_timesteps:
            return
        low, high = _id_ranges(self._manifest.vocabulary, np.int64)[
            sequence.modality[:period]
        ].T  # they hold, so they fit
        step = _CheckedTimestep(
            sequence.modality[:period].copy(),
            sequence.loss_mask[:period].copy(),
            sequence.position[:period].copy(),
            low.astype(sequence.tokens.dtype),
            (high - 1).astype(sequence.tokens.dtype),
            sequence.tokens.dtype,
        )
        if step.repeats_in(sequence):
            self._checked[task] = step


@dataclass(frozen=True, slots=True, eq=False)
class _CheckedTimestep:
    """One timestep that was checked, U tokens: modality, mask, position, range of ids [low, last], dtype of ids."""

    modality: NDArray[np.uint8]
    loss_mask: NDArray[np.uint8]
    position: NDArray[np.uint16]
    low: NDArray[np.integer[Any]]
    last: NDArray[np.integer[Any]]
    dtype: np.dtype[np.generic]

    def repeats_in(self, sequence: TokenSequence) -> bool:
        """Whether a sequence is this timestep over and over, with ids in their ranges."""
        period, steps = len(self.modality), sequence.num_timesteps
        if steps * period != sequence.num_tokens or not steps or sequence.tokens.dtype != self.dtype:
            return False
        tokens = sequence.tokens
        return bool(
            np.array_equal(sequence.timestep_starts, np.arange(0, sequence.num_tokens, period, dtype=np.int32))
            and np.array_equal(sequence.modality, _repeated(self.modality, steps))
            and np.array_equal(sequence.loss_mask, _repeated(self.loss_mask, steps))
            and np.array_equal(sequence.position, _repeated(self.position, steps))
            and not (tokens < _repeated(self.low, steps)).any()
            and not (tokens > _repeated(self.last, steps)).any()
        )


def _repeated(values: NDArray[AnyNumber], times: int) -> NDArray[AnyNumber]:
    """An array over and over: copied as bytes, which costs less than numpy's own way for a short one."""
    return np.frombuffer(values.tobytes() * times, values.dtype)


def _problems(record: Record, manifest: Manifest) -> Iterator[Problem]:
    sequence = record.sequence
    yield from _tokens(sequence, manifest.vocabulary)
    yield from _mask(sequence, manifest)
    if sequence.num_timesteps:
        yield from _timesteps(sequence, manifest.max_observation_tokens, manifest.tasks.get(record.task))
    elif bool((sequence.position != POSITION_NONE).any()):
        yield "positions", f"a document has position {_first(sequence.position, sequence.position != POSITION_NONE)}"
    elif sequence.modality.max(initial=0) > Modality.PATCH:
        yield "tokens", "a document has a token that is neither text nor patch"


def _first(column: NDArray[np.generic], wrong: NDArray[np.bool_]) -> str:
    at = int(np.argmax(wrong))
    return f"{column[at]} at token {at}"


def _id_ranges(vocabulary: VocabularyInfo, dtype: DTypeLike) -> NDArray[Any]:
    """First id and one past the last id of every modality, (5, 2), by `Modality`."""
    return np.array([vocabulary.id_range(modality) for modality in Modality], dtype)


def _tokens(sequence: TokenSequence, vocabulary: VocabularyInfo) -> Iterator[Problem]:
    if sequence.num_tokens and sequence.tokens.dtype != vocabulary.token_dtype:
        yield "tokens", f"tokens are {sequence.tokens.dtype}, the vocabulary wants {vocabulary.token_dtype}"
        return
    low, high = _id_ranges(vocabulary, np.int32)[sequence.modality].T
    wrong = (sequence.tokens < low) | (sequence.tokens >= high)
    if wrong.any():
        at = int(np.argmax(wrong))
        modality = Modality(sequence.modality[at]).name.lower()
        yield "tokens", f"id {sequence.tokens[at]} at token {at} is no {modality} id ([{low[at]}, {high[at]}))"


def _mask(sequence: TokenSequence, manifest: Manifest) -> Iterator[Problem]:
    mask, modality = sequence.loss_mask, sequence.modality
    if mask.max(initial=0) > 1:
        yield "mask", f"the loss mask is {_first(mask, mask > 1)}: 0 or 1 is wanted"
        return
    wrong = (modality == Modality.PATCH) & (mask == 1)
    if sequence.num_timesteps:
        action = sequence.position == POSITION_ACTION
        settings = manifest.tokenization
        wanted = action.astype(np.uint8)
        wanted[modality == Modality.SEPARATOR] = bool(settings.get("loss_on_separator", False))
        wanted[(modality == Modality.TEXT) & ~action] = bool(settings.get("loss_on_text_observations", True))
        wrong = mask != wanted
    if wrong.any():
        at = int(np.argmax(wrong))
        name = Modality(modality[at]).name.lower()
        yield "mask", f"the loss mask is {mask[at]} at token {at} ({name}): {1 - int(mask[at])} is wanted"


def _timesteps(sequence: TokenSequence, most: int, task: TaskInfo | None) -> Iterator[Problem]:
    """Observation tokens count up from 0, then one separator, then the action."""
    starts = sequence.timestep_starts.astype(np.int64)
    lengths = np.diff(np.append(starts, sequence.num_tokens))
    within = np.arange(sequence.num_tokens) - np.repeat(starts, lengths)
    separator = sequence.modality == Modality.SEPARATOR
    per_step = np.add.reduceat(separator.astype(np.int64), starts)
    if (per_step != 1).any():
        step = int(np.argmax(per_step != 1))
        yield "positions", f"timestep {step} has {per_step[step]} separators, one is wanted"
        return
    before = within[separator]
    ranks = np.repeat(before, lengths)
    wanted = np.where(within < ranks, within, POSITION_ACTION)
    wanted[separator] = POSITION_SEPARATOR
    wrong = sequence.position != wanted
    if wrong.any():
        at = int(np.argmax(wrong))
        yield "positions", f"position {sequence.position[at]} at token {at}: {wanted[at]} is wanted"
    if (largest := int(before.max())) > most:
        yield "positions", f"a timestep has {largest} observation tokens, at most {most} were announced"
    if task is not None:
        yield from _layout(sequence, starts + lengths, lengths, task)


def _layout(
    sequence: TokenSequence, ends: NDArray[np.int64], lengths: NDArray[np.int64], task: TaskInfo
) -> Iterator[Problem]:
    """Every timestep is its task's fields, after text of any length where the task has text."""
    has_text, tail = _tail(task, sequence.num_tokens)
    text = lengths - len(tail)
    if (text < 0).any() or (not has_text and text.any()):
        step = int(np.argmax((text < 0) | (text != 0)))
        yield "task", f"timestep {step} has {lengths[step]} tokens, the fields of its task have {len(tail)}"
        return
    modality = sequence.modality
    same = modality[ends[:, None] - np.arange(len(tail), 0, -1)] == tail
    leading = int(np.count_nonzero(modality == Modality.TEXT))
    if not same.all() or leading != int(text.sum()):
        step = int(np.argmin(same.all(axis=1)))
        yield "task", f"the modalities of timestep {step} are not those of its task's fields"


def _tail(task: TaskInfo, most: int) -> tuple[bool, NDArray[np.uint8]]:
    """Whether a timestep begins with text, and the modalities of everything after it, little more than `most`."""
    observed = [field for field in ordered(task.observations) if field.modality != "text"]
    codes = [(field.token_modality, field.num_tokens) for field in observed]
    codes += [(Modality.SEPARATOR, 1), *((field.token_modality, field.num_tokens) for field in task.actions)]
    # a manifest may claim any shape
    widths = [min(count, most + 1) for _, count in codes]
    tail = np.repeat([int(code) for code, _ in codes], widths).astype(np.uint8)
    return task.has_text, tail


def _patch_positions(sequence: TokenSequence) -> Iterator[Problem]:
    """The interval of every patch is the one that its image's rows and columns give."""
    if not sequence.num_images:
        return
    grids, which = np.unique(sequence.image_grid[:, 1:3], axis=0, return_inverse=True)
    for number, (rows, columns) in enumerate(grids.tolist()):
        first = sequence.image_grid[which.reshape(-1) == number, 0].astype(np.int64)
        found = sequence.patch_position[first[:, None] + np.arange(rows * columns)]
        wrong = (found != patch_positions(rows, columns)).any(axis=2)
        if wrong.any():
            image, patch = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
            yield "patches", f"patch {int(first[image]) + int(patch)} has the position {found[image, patch].tolist()}"
            return
