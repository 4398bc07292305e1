"""The beginning of a record in a few lines: the first timestep by its fields, or the first words of a document."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from gato_data.errors import GatoError
from gato_data.printable import real
from gato_data.report.decoder import IdDecoder
from gato_data.report.fields import Slot, slots
from gato_data.tokenizers.text import TextTokenizer
from gato_schemas.dataset import TEXT_MODEL, Manifest
from gato_schemas.record import Record
from gato_schemas.sequence import Modality, TokenSequence

LINES, CHARACTERS = 12, 300
_PIECES, _VALUES = 400, 5


def excerpt(folder: Path, manifest: Manifest, record: Record) -> Iterator[str]:
    """Lines of at most `CHARACTERS` characters or so, not safe to print.

    Args:
        folder: holds the text model.
        manifest: of the dataset.
        record: without its patches.

    Raises:
        FormatError: an id is none of the text model.
    """
    text = _text_model(folder, manifest)
    found = _timestep(manifest, record, text) if record.sequence.num_timesteps else _document(record.sequence, text)
    for number, line in enumerate(found):
        if number == LINES:
            yield "..."
            return
        yield line


def _text_model(folder: Path, manifest: Manifest) -> TextTokenizer | None:
    if manifest.vocabulary.text_model is None:
        return None
    try:
        model = TextTokenizer.load(folder / TEXT_MODEL)
    except GatoError:
        return None
    return model if model.sha256 == manifest.vocabulary.text_model else None


def _words(sequence: TokenSequence, first: int, stop: int, text: TextTokenizer | None) -> str:
    if text is None:
        return f"[{stop - first} text tokens]"
    words = text.decode(sequence.tokens[first : min(stop, first + _PIECES)])
    return words if len(words) <= CHARACTERS and stop - first <= _PIECES else f"{words[:CHARACTERS]} ..."


def _document(sequence: TokenSequence, text: TextTokenizer | None) -> Iterator[str]:
    images = {int(first): (int(rows), int(columns)) for first, rows, columns, *_ in sequence.image_grid}
    borders = np.flatnonzero(np.diff(sequence.modality)) + 1
    patch = 0
    for first, stop in zip([0, *borders.tolist()], [*borders.tolist(), sequence.num_tokens], strict=True):
        if sequence.modality[first] == Modality.TEXT:
            yield _words(sequence, first, stop, text)
            continue
        last = patch + stop - first
        while patch < last and patch in images:
            rows, columns = images[patch]
            yield f"[image of {rows} x {columns} patches]"
            patch += rows * columns
        patch = last


def _timestep(manifest: Manifest, record: Record, text: TextTokenizer | None) -> Iterator[str]:
    sequence, decoder = record.sequence, IdDecoder(manifest)
    start, stop = sequence.timestep_range(0)
    named = zip(range(start, stop), slots(sequence, manifest.tasks.get(record.task), 0), strict=True)
    for (name, code), group in groupby(named, key=lambda pair: (_field(pair[1]), int(sequence.modality[pair[0]]))):
        found, modality = list(group), Modality(code)
        if modality is Modality.PATCH:
            yield f"{name}: {len(found)} patches"
        elif modality is Modality.TEXT:
            yield f"{name}: {_words(sequence, found[0][0], found[-1][0] + 1, text)}"
        else:
            ids = [int(sequence.tokens[place]) for place, _ in found[:_VALUES]]
            values = [decoder.value(token, modality, slot) for token, (_, slot) in zip(ids, found, strict=False)]
            more = " ..." if len(found) > _VALUES else ""
            shown = "" if None in values else f" {' '.join(map(_shown, values))}{more},"
            yield f"{name}:{shown} {'ids' if len(found) > 1 else 'id'} {' '.join(map(str, ids))}{more}"


def _field(slot: Slot) -> str:
    """The name of a slot without the number of its element."""
    return slot.name.partition("[")[0] if slot.field is not None and slot.field.shape else slot.name


def _shown(value: object) -> str:
    return real(value) if isinstance(value, float) else str(value)
