"""The training path over a whole window, as a slow policy would take it for every token: nothing is kept."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gato_data.distinct_patches import distinct
from gato_data.reading.batch import PADDING, Batch
from gato_schemas.sequence import POSITION_ACTION, Modality
from gato_trainer.acting.vectors import Laid
from gato_trainer.data.inputs import prepare
from gato_trainer.model.transformer import Gato


class Tokens(NamedTuple):
    """Tokens in order with their patches."""

    tokens: NDArray[np.integer]
    position: NDArray[np.uint16]
    modality: NDArray[np.uint8]
    patches: NDArray[np.uint8]
    patch_position: NDArray[np.uint8]


def action(ids: Sequence[int]) -> Tokens:
    """Action tokens; which modality they have makes no difference."""
    count = len(ids)
    modality = np.full(count, Modality.DISCRETE, np.uint8)
    none = np.zeros((0, 16, 16, 3), np.uint8), np.zeros((0, 4), np.uint8)
    return Tokens(np.array(ids, np.int64), np.full(count, POSITION_ACTION, np.uint16), modality, *none)


@torch.no_grad()
def outputs(model: Gato, window: Sequence[Laid], *, last: bool = False) -> Tensor:
    """(T, D), normalised outputs of `Gato.hidden` over one window, made by the code that prepares a batch.

    With `last` that of the last token alone, (1, D).
    """
    columns = {name: np.concatenate([getattr(each, name) for each in window]) for name in Tokens._fields}
    patches = columns["modality"] == Modality.PATCH
    slots = np.flatnonzero(patches)
    tokens = np.append(np.where(patches, 0, columns["tokens"]), 0)[None].astype(np.int32)
    table, index = distinct(columns["patches"])
    batch = Batch(
        tokens=tokens,
        loss_mask=np.zeros(tokens.shape, np.uint8),
        modality=np.append(columns["modality"], PADDING).astype(np.uint8)[None],
        position=np.append(columns["position"].astype(np.int32), 0)[None],
        piece_slot=np.zeros(1, np.int64),
        distinct_patches=table,
        num_distinct=len(table),
        patch_index=index,
        patch_position=columns["patch_position"],
        patch_slot=slots.astype(np.int64),
        supervised_slot=np.zeros(0, np.int64),
        length=np.array([tokens.shape[1]], np.int32),
        dataset=np.zeros(1, np.int32),
        sample=np.zeros(1, np.int64),
    )
    inputs = prepare(batch, model.config, None)
    if last:
        rows = torch.tensor([tokens.shape[1] - 2])
        return model.hidden(dataclasses.replace(inputs, targets=dataclasses.replace(inputs.targets, rows=rows)))
    return model.hidden(inputs, every=True)[0]
