"""Tokens of timesteps to the vectors that the first block reads, as training embeds them in evaluation."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gato_schemas.sequence import POSITION_ACTION, Modality
from gato_trainer.data.inputs import local_rows, patch_positions, table_rows
from gato_trainer.model.transformer import Gato

_MOST_PATCHES = 4096
"""Distinct patches whose vectors are kept: a still background is embedded once."""


class Laid(Protocol):
    """N tokens in order with the pixels of the patches among them; a TokenSequence is one."""

    @property
    def tokens(self) -> NDArray[np.integer]:
        """(N,), ids; anything where a patch is."""

    @property
    def position(self) -> NDArray[np.uint16]:
        """(N,), index among the timestep's observation tokens, or a reserved code."""

    @property
    def modality(self) -> NDArray[np.uint8]:
        """(N,)."""

    @property
    def patches(self) -> NDArray[np.uint8]:
        """(P, 16, 16, 3)."""

    @property
    def patch_position(self) -> NDArray[np.uint8]:
        """(P, 4)."""


class Vectors:
    """Embeds tokens; the vectors of patches are remembered."""

    def __init__(self, model: Gato) -> None:
        self._model, self._config, self._embedding = model, model.config, model.embedding
        self._device = model.embedding.table.device
        place = int(local_rows(np.array([POSITION_ACTION], np.int32), self._config)[0])
        self._action = None if place < 0 else model.embedding.local_table[place].to(model.dtype)
        self._numbers: dict[bytes, int] = {}
        self._patches = torch.empty(_MOST_PATCHES, model.config.width, dtype=model.dtype, device=self._device)

    @torch.inference_mode()
    def of(self, laid: Sequence[Laid]) -> Tensor:
        """(S, D), of all tokens of all pieces, one piece after the other.

        Raises:
            TrainError: an id has no row of the table, or an observation has more tokens than that of local positions.
        """
        modality = np.concatenate([piece.modality for piece in laid])
        tokens = np.concatenate([piece.tokens for piece in laid]).astype(np.int64)
        slots = np.flatnonzero(modality == Modality.PATCH)
        places = local_rows(np.concatenate([piece.position for piece in laid]).astype(np.int32), self._config)
        patches = np.concatenate([piece.patches for piece in laid])
        interval = np.concatenate([piece.patch_position for piece in laid]).astype(np.int64)
        row, column = patch_positions(interval, slots, slots, None)
        table, index = self._patch_vectors(patches)
        arrays = (table_rows(tokens, modality == Modality.PATCH, self._config)[None], places[None])
        return self._embed(*map(self._tensor, arrays), table, *map(self._tensor, (index, slots, row, column)))[0]

    @torch.inference_mode()
    def of_actions(self, ids: NDArray[np.int64]) -> Tensor:
        """(N, D), of one action token each: they all have one position."""
        vectors = self.of_texts(ids)
        return vectors if self._action is None else vectors + self._action

    @torch.inference_mode()
    def of_texts(self, ids: NDArray[np.int64]) -> Tensor:
        """(N, D), of tokens of a document, which have no position."""
        return self._embedding.table[self._tensor(self._rows(ids))].to(self._model.dtype)

    @torch.inference_mode()
    def logits(self, hidden: Tensor, first: int, end: int) -> Tensor:
        """(N, end - first), logits of the ids [first, end), which are of one modality, from outputs (N, D)."""
        row = int(self._rows(np.array([first]))[0])
        return self._model.logits(hidden, row, row + end - first)

    def _rows(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of the table of each id; ids of one modality have neighbouring rows."""
        return table_rows(ids, np.zeros(ids.shape, bool), self._config)

    def _tensor(self, array: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(array).to(self._device)

    def _embed(self, tokens: Tensor, places: Tensor, *patches: Tensor) -> Tensor:
        e = self._embedding
        tables = (e.table, e.local_table, e.row_table, e.column_table)
        return e.operations.embed(*tables, tokens, places, *patches, self._model.dtype)

    def _patch_vectors(self, patches: NDArray[np.uint8]) -> tuple[Tensor, NDArray[np.int64]]:
        """A table (K, D), and which of its rows each of the patches uint8 (P, 16, 16, 3) is."""
        keys = [patch.tobytes() for patch in patches]
        missing = {key: at for at, key in enumerate(keys) if key not in self._numbers}
        if len(self._numbers) + len(missing) > _MOST_PATCHES:
            self._numbers.clear()
            missing = {key: at for at, key in enumerate(keys)}
        if len(missing) > _MOST_PATCHES:
            pixels = torch.from_numpy(np.ascontiguousarray(patches)).to(self._device)
            return self._embedding.patch(pixels, self._model.dtype), np.arange(len(keys))
        if missing:
            first = len(self._numbers)
            pixels = torch.from_numpy(patches[list(missing.values())]).to(self._device)
            self._patches[first : first + len(missing)] = self._embedding.patch(pixels, self._model.dtype)
            self._numbers.update((key, first + number) for number, key in enumerate(missing))
        return self._patches, np.array([self._numbers[key] for key in keys], np.int64)
