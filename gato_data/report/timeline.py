"""The tokens of a record as a person reads them: where each stands, what it stands for and what it decodes to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from gato_data.errors import InputError
from gato_data.report.decoder import IdDecoder, load_decoder
from gato_data.report.fields import SEPARATOR, Slot, slots
from gato_data.report.files import check_shard
from gato_data.report.record import OpenRecord, open_record
from gato_data.shards.index import index_of
from gato_data.tokenizers.image import from_patches
from gato_schemas.sequence import POSITION_ACTION, POSITION_NONE, POSITION_SEPARATOR, Modality

DEFAULT_TIMESTEPS = 2
DEFAULT_TOKENS = 64
MAX_TOKENS = 100_000
"""Tokens that are shown at once, so that one command floods neither memory nor a terminal."""
MAX_IMAGE_PATCHES = 4096
"""Patches of the largest image that is put back together: 1024 x 1024 pixels."""


@dataclass(frozen=True, slots=True)
class PatchView:
    """Where a patch lies in its image and what it looks like: `mean` is its average RGB."""

    image: int
    row: int
    column: int
    mean: tuple[int, int, int]


class TokenView(msgspec.Struct, frozen=True, kw_only=True, rename={"name": "field"}):
    """One token.

    Attributes:
        index: offset in the record.
        timestep: of the record; None in a document.
        position: the index among the observation tokens of the timestep, "action", "separator", or None.
        name: `observation/state[3]`; see `gato_data.report.fields`.
        value: the bin's centre, the discrete value or the piece of text; None where it is not known.
        patch: for a patch.
        loss: whether it is trained on.
    """

    index: int
    timestep: int | None
    position: int | str | None
    id: int
    modality: Modality
    name: str
    value: float | int | str | None
    patch: PatchView | None
    loss: bool


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Some tokens of a record.

    Attributes:
        opened: the record.
        start, stop: its tokens [start, stop).
        tokens: of these one by one, decoded as they are asked for.
        notes: what cannot be said of them and why, a sentence each.
    """

    opened: OpenRecord
    start: int
    stop: int
    tokens: Iterator[TokenView]
    notes: Sequence[str] = ()


def read_excerpt(
    path: Path, number: int, timestep: int | None = None, tokens: tuple[int, int] | None = None
) -> Excerpt:
    """Tokens of record `number` of a shard: those of a timestep, tokens [A, B), or the first ones.

    Raises:
        InputError: the shard has no such record, timestep or tokens, or they are too many.
        FormatError: the record, or what decodes it, is damaged.
    """
    check_shard(path)
    found = index_of(path)
    opened = open_record(path, found, number)
    decoder, notes = load_decoder(path.parent, found)
    start, stop = span(opened, timestep, tokens)
    return Excerpt(opened, start, stop, timeline(opened, decoder, start, stop), notes)


def span(opened: OpenRecord, timestep: int | None = None, tokens: tuple[int, int] | None = None) -> tuple[int, int]:
    """The tokens to show: those asked for, else the first timesteps of an episode or the first tokens of a document.

    Raises:
        InputError: the record has no such timestep or tokens, or more of them were asked for than are ever shown.
    """
    sequence, where = opened.record.sequence, f"record {opened.number}"
    total, steps = sequence.num_tokens, sequence.num_timesteps
    if tokens is not None:
        start, stop = tokens[0], min(tokens[1], total)
        if not 0 <= start < stop:
            raise InputError(f"{where} has tokens 0 to {total - 1}: no token of {tokens[0]}:{tokens[1]} is among them")
    elif timestep is not None:
        if not 0 <= timestep < steps:
            wanted = f"a number from 0 to {steps - 1} is wanted" if steps else "it is a document, try --tokens 0:64"
            raise InputError(f"{where} has no timestep {timestep}: {wanted}")
        start, stop = sequence.timestep_range(timestep)
    elif steps:
        _, end = sequence.timestep_range(min(DEFAULT_TIMESTEPS, steps) - 1)
        start, stop = 0, min(end, 4 * DEFAULT_TOKENS)
    else:
        start, stop = 0, min(DEFAULT_TOKENS, total)
    if stop - start > MAX_TOKENS:
        raise InputError(f"{stop - start:,} tokens were asked for, at most {MAX_TOKENS:,} are shown: narrow --tokens")
    return start, stop


def timeline(opened: OpenRecord, decoder: IdDecoder, start: int, stop: int) -> Iterator[TokenView]:
    """Tokens [start, stop) of a record.

    Raises:
        FormatError: a patch block is damaged.
    """
    sequence = opened.record.sequence
    task = decoder.manifest.tasks.get(opened.record.task) if decoder.manifest else None
    patches = _patches(opened, start, stop)
    timestep, first, named = -1, 0, list[Slot]()
    for place in range(start, stop):
        step = int(np.searchsorted(sequence.timestep_starts, place, side="right")) - 1
        if step != timestep:
            timestep, first, named = step, int(sequence.timestep_starts[step]), slots(sequence, task, step)
        modality, token = Modality(int(sequence.modality[place])), int(sequence.tokens[place])
        slot = named[place - first] if step >= 0 else document_slot(modality)
        yield TokenView(
            index=place,
            timestep=step if step >= 0 else None,
            position=position_of(int(sequence.position[place])),
            id=token,
            modality=modality,
            name=slot.name,
            value=decoder.value(token, modality, slot),
            patch=next(patches) if modality is Modality.PATCH else None,
            loss=bool(sequence.loss_mask[place]),
        )


def document_slot(modality: Modality) -> Slot:
    """What a token of a document stands for."""
    return SEPARATOR if modality is Modality.SEPARATOR else Slot("image" if modality is Modality.PATCH else "text")


def position_of(code: int) -> int | str | None:
    """The position that a code of the `position` column stands for; see `TokenView`."""
    named = {POSITION_ACTION: "action", POSITION_SEPARATOR: "separator", POSITION_NONE: None}
    return named.get(code, code)


def _patches(opened: OpenRecord, start: int, stop: int) -> Iterator[PatchView]:
    sequence = opened.record.sequence
    if not sequence.num_patches:
        return
    first, count = patch_range(sequence.modality, start, stop)
    if not count:
        return
    means = opened.patches(first, count).reshape(count, -1, 3).mean(axis=1).round().astype(int).tolist()
    images = np.searchsorted(sequence.image_grid[:, 0], np.arange(first, first + count), side="right") - 1
    for patch, image, mean in zip(range(first, first + count), images.tolist(), means, strict=True):
        begin, _, columns, _, _ = sequence.image_grid[image].tolist() if image >= 0 else (0, 1, 1, 0, 0)
        row, column = divmod(patch - begin, columns)
        yield PatchView(image, row, column, (mean[0], mean[1], mean[2]))


def patch_range(modality: NDArray[np.uint8], start: int, stop: int) -> tuple[int, int]:
    """Number of the first patch of tokens [start, stop), and how many there are."""
    return int(np.count_nonzero(modality[:start] == 1)), int(np.count_nonzero(modality[start:stop] == 1))


def images(opened: OpenRecord, start: int, stop: int, limit: int) -> Sequence[NDArray[np.uint8]]:
    """At most `limit` images that begin within tokens [start, stop), uint8 (h, w, 3) each, without padding.

    Raises:
        FormatError: a patch block is damaged.
    """
    sequence = opened.record.sequence
    first, count = patch_range(sequence.modality, start, stop)
    begins = sequence.image_grid[:, 0]
    small = sequence.image_grid[:, 1].astype(np.int64) * sequence.image_grid[:, 2] <= MAX_IMAGE_PATCHES
    chosen = np.flatnonzero((begins >= first) & (begins < first + count) & small)[:limit]
    found = []
    for row in sequence.image_grid[chosen]:
        patches = opened.patches(int(row[0]), int(row[1] * row[2]))
        found.append(from_patches(patches, np.array([0, *row[1:]])))
    return found
