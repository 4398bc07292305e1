"""From ids to values: what the manifest and the text model beside a shard say that its ids mean."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gato_data.errors import MissingPackageError
from gato_data.report.fields import Slot
from gato_data.report.files import open_manifest
from gato_data.tokenizers import continuous
from gato_data.tokenizers.text import TextTokenizer
from gato_schemas.dataset import MANIFEST, TEXT_MODEL, Manifest
from gato_schemas.index import ShardIndex
from gato_schemas.sequence import Modality

Pieces = Callable[[int], str]
"""The text of one id of the text model."""


@dataclass(frozen=True, slots=True)
class IdDecoder:
    """What turns ids into values: the manifest's table and the dataset's text model, as far as there are any."""

    manifest: Manifest | None = None
    pieces: Pieces | None = None

    def value(self, token: int, modality: Modality, slot: Slot) -> float | int | str | None:
        """The value of an id, None where the manifest or the text model is missing or the id is out of its range."""
        if modality is Modality.TEXT:
            return self.pieces(token) if self.pieces else None
        if self.manifest is None:
            return None
        table = self.manifest.vocabulary
        if modality is Modality.DISCRETE:
            value = token - table.discrete_offset
            start = slot.field.start if slot.field is not None else 0
            return value + start if 0 <= value < table.discrete_size else None
        if modality is Modality.CONTINUOUS:
            return self._centre(token - table.continuous_offset, slot)
        return None

    def _centre(self, number: int, slot: Slot) -> float | None:
        field = slot.field
        if field is None or self.manifest is None or not 0 <= number < continuous.num_bins(field.binning):
            return None
        everywhere = bool(self.manifest.tokenization.get("compand_observations", True))
        compand = everywhere and field.compand and not slot.is_action
        bound = {"low": field.low, "high": field.high}
        return float(continuous.decode(np.array([number]), compand=compand, bins=field.binning, **bound)[0])


def load_decoder(folder: Path, found: ShardIndex | None) -> tuple[IdDecoder, list[str]]:
    """The decoder for the shards of a folder, and notes on what it cannot say, each one sentence.

    Raises:
        FormatError: the manifest or the text model is damaged, or the manifest is of another version.
    """
    if not (folder / MANIFEST).is_file():
        return IdDecoder(), [f"no {MANIFEST} beside the shard: fields have no names and ids no values"]
    manifest = open_manifest(folder)
    notes = []
    if found is not None and found.header.fingerprint != manifest.fingerprint:
        notes.append(f"{MANIFEST} and the index have different fingerprints: names and values may be wrong")
    if manifest.vocabulary.text_model is None:
        return IdDecoder(manifest), notes
    pieces, note = _load_pieces(folder / TEXT_MODEL, manifest.vocabulary.text_model)
    return IdDecoder(manifest, pieces), notes + ([note] if note else [])


def _load_pieces(path: Path, digest: str) -> tuple[Pieces | None, str]:
    if not path.is_file():
        return None, f"no {TEXT_MODEL} beside the shard: text tokens have no text"
    try:
        model = TextTokenizer.load(path)
    except MissingPackageError as error:
        return None, f"text tokens have no text: {error}"
    if model.sha256 != digest:
        return None, f"{TEXT_MODEL} is not the text model that made this dataset: text tokens have no text"
    return (lambda token: model.piece(token) if 0 <= token < model.size else "?"), ""
