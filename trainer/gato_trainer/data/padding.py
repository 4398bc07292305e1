"""Batches of few shapes: filled up with what counts nothing, so that graphs and plans made for one serve the next.

The numbers do not change: a window that fills up holds no target, a row that fills up no id, a patch that fills up no
place.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from gato_data.distinct_patches import bucket
from gato_trainer.data.inputs import Inputs, Targets


def padded(inputs: Inputs, windows: int) -> Inputs:
    """A batch on the CPU, filled up.

    Args:
        inputs: before `Inputs.gathered`.
        windows: that it shall have, at least its own. Supervised rows, patch tokens and distinct patches come up to
            one of a few numbers (`gato_data.distinct_patches.bucket`).
    """
    length = inputs.tokens.shape[1]
    more, most = windows - len(inputs.tokens), windows * length
    rows = min(bucket(len(inputs.targets.rows)), most) - len(inputs.targets.rows)
    patches = min(bucket(len(inputs.patch_index)), most) - len(inputs.patch_index)
    pixels = bucket(len(inputs.distinct_patches)) - len(inputs.distinct_patches)
    return replace(
        inputs,
        tokens=_longer(inputs.tokens, more, 0),
        local_row=_longer(inputs.local_row, more, -1),
        distinct_patches=_longer(inputs.distinct_patches, pixels, 0),
        patch_index=_longer(inputs.patch_index, patches, 0),
        patch_slot=_longer(inputs.patch_slot, patches, most),
        patch_row=_longer(inputs.patch_row, patches, 0),
        patch_column=_longer(inputs.patch_column, patches, 0),
        targets=_targets(inputs.targets, rows),
        segment=None if inputs.segment is None else _longer(inputs.segment, more, 0),
        keep=None if inputs.keep is None else F.pad(inputs.keep, (0, more)),
        dropout_key=None if inputs.dropout_key is None else _longer(inputs.dropout_key, more, 0),
        unpadded=inputs.real,
    )


def _targets(targets: Targets, more: int) -> Targets:
    return Targets(
        rows=_longer(targets.rows, more, 0),
        ids=_longer(targets.ids, more, -1),
        dataset=_longer(targets.dataset, more, 0),
        modality=_longer(targets.modality, more, 0),
        is_action=_longer(targets.is_action, more, 0),
        before=_longer(targets.before, more, -1),
    )


def _longer(values: Tensor, more: int, value: int) -> Tensor:
    """With so many entries more along the first dimension."""
    return torch.cat([values, values.new_full((more, *values.shape[1:]), value)])
