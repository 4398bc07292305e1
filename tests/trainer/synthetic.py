"""Windows without a dataset, for benchmarks, tests and trying out a machine."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gato_data.distinct_patches import bucket, distinct
from gato_data.reading.batch import PADDING, Batch
from gato_schemas.sequence import (
    POSITION_ACTION,
    POSITION_NONE,
    POSITION_SEPARATOR,
    Modality,
)
from gato_trainer.data.batches import BatchSource

_ACTIONS = 8
_BACKGROUNDS = 3


class _Row(NamedTuple):
    """The columns of one window, to be written into."""

    tokens: NDArray[np.int32]
    loss_mask: NDArray[np.uint8]
    modality: NDArray[np.uint8]
    position: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class SyntheticSource(BatchSource):
    """Two invented datasets: "control" with images and actions, "text" with documents.

    In "control" the action of a timestep follows from its first patch, so a model can learn it; the other patches
    are backgrounds, the same few in all windows. Text is a cycle of ids. Window g is a pure function of
    (seed, g modulo `windows`).

    Attributes:
        context_length: input tokens of a window.
        vocabulary_size: rows of the table; the separator is the last.
        patches: patches of a timestep.
        text_every: every which window is text; 0 for none.
        windows: how many different windows there are.
        seed: of the content.
        odd: samples of text that are no cycle, but ids drawn from all.
        merged: whether equal patches of a batch are one row of `distinct_patches`; else every patch has its own.
    """

    context_length: int = 64
    vocabulary_size: int = 33025
    patches: int = 4
    text_every: int = 4
    windows: int = 2**31
    seed: int = 0
    odd: tuple[int, ...] = ()
    merged: bool = True

    @property
    def dataset_names(self) -> tuple[str, ...]:
        """The two datasets."""
        return ("control", "text")

    def batch(self, samples: range) -> Batch:
        """The windows with these numbers."""
        length = self.context_length + 1
        count = len(samples)
        tokens = np.zeros((count, length), np.int32)
        loss_mask = np.zeros((count, length), np.uint8)
        modality = np.full((count, length), PADDING, np.uint8)
        position = np.full((count, length), POSITION_NONE, np.int32)
        patches, slots, lengths, datasets = [], [], [], []
        for index, sample in enumerate(samples):
            generator = np.random.default_rng((self.seed, sample % self.windows))
            row = _Row(tokens[index], loss_mask[index], modality[index], position[index])
            is_text = self.text_every > 0 and sample % self.text_every == self.text_every - 1
            real = length - int(generator.integers(0, length // 4)) if is_text else length
            pixels, offsets = self._text(row, real, generator) if is_text else self._control(row, generator)
            if sample in self.odd:
                row.tokens[:real] = generator.integers(0, self.vocabulary_size, real)
            patches.append(pixels)
            slots.append(index * length + offsets)
            lengths.append(real)
            datasets.append(int(is_text))
        slot = np.concatenate(slots) if slots else np.zeros(0, np.int64)
        table, patch_index = self._table(np.concatenate(patches) if patches else np.zeros((0, 16, 16, 3), np.uint8))
        window, target = np.nonzero(loss_mask[:, 1:])
        return Batch(
            tokens=tokens,
            loss_mask=loss_mask,
            modality=modality,
            position=position,
            distinct_patches=np.pad(table, [(0, _padding(len(table))), (0, 0), (0, 0), (0, 0)]),
            num_distinct=len(table),
            patch_index=patch_index,
            patch_position=self._intervals(slot % length),
            patch_slot=slot.astype(np.int64),
            supervised_slot=(window * self.context_length + target).astype(np.int64),
            length=np.array(lengths, np.int32),
            dataset=np.array(datasets, np.int32),
            sample=np.array(samples, np.int64),
            piece_slot=np.arange(count) * length,
        )

    def _control(self, row: "_Row", generator: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        step = self.patches + 2
        offset = np.arange(self.context_length + 1)
        timestep, place = np.divmod(offset, step)
        is_patch, is_action = place < self.patches, place == step - 1
        action = generator.integers(0, _ACTIONS, timestep[-1] + 1)
        row.modality[:] = np.where(is_patch, Modality.PATCH, Modality.SEPARATOR)
        row.modality[is_action] = Modality.DISCRETE
        row.position[:] = np.where(is_patch, place, POSITION_SEPARATOR)
        row.position[is_action] = POSITION_ACTION
        row.tokens[:] = np.where(is_patch, 0, self.vocabulary_size - 1)
        row.tokens[is_action] = action[timestep[is_action]]
        row.loss_mask[is_action] = 1
        count = int(is_patch.sum())
        first = np.nonzero(place[is_patch] == 0)[0]
        pixels = self._backgrounds()[generator.integers(0, _BACKGROUNDS, count)]
        pixels[first] = generator.integers(0, 64, (len(first), 16, 16, 3))
        pixels[first] += (action[timestep[is_patch][first]] * (192 // _ACTIONS)).astype(np.uint8)[:, None, None, None]
        return pixels, offset[is_patch]

    def _backgrounds(self) -> NDArray[np.uint8]:
        generator = np.random.default_rng(self.seed)
        return generator.integers(0, 256, (_BACKGROUNDS, 16, 16, 3)).astype(np.uint8)

    def _table(self, patches: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        return distinct(patches) if self.merged else (patches, np.arange(len(patches), dtype=np.int32))

    def _text(
        self, row: "_Row", real: int, generator: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        start = int(generator.integers(0, 100))
        row.tokens[:real] = 1000 + (start + np.arange(real)) % 100
        row.modality[:real] = Modality.TEXT
        row.loss_mask[:real] = 1
        return np.zeros((0, 16, 16, 3), np.uint8), np.zeros(0, np.int64)

    def _intervals(self, offset: NDArray[np.int64]) -> NDArray[np.uint8]:
        place = offset % (self.patches + 2)
        low = np.rint(128 * place / self.patches).astype(np.int64)
        high = np.rint(128 * (place + 1) / self.patches).astype(np.int64)
        full = np.full_like(low, 128)
        return np.stack([np.zeros_like(low), full, low, high], axis=1).astype(np.uint8)


def _padding(count: int) -> int:
    return bucket(count) - count if count else 0
