"""Stochastic depth as lists: the windows that each sub-layer is computed for, so that the others cost nothing.

What is skipped is drawn by `inputs.prepare` and does not change here: a window that a sub-layer leaves out is not
gathered for it, instead of being computed and counted as zero.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Kept(NamedTuple):
    """What a sub-layer is computed for, of N windows or rows.

    Attributes:
        scale: float32 (K,), of each output: 1 / (1 - rate), or 0 for one that counts nothing.
        which: int64 (K,), which of the N they are; one that counts nothing may come twice. None for all N in order.
    """

    scale: Tensor
    which: Tensor | None = None

    def of(self, values: Tensor) -> Tensor:
        """Those of the values of all N, along the first dimension."""
        return values if self.which is None else values.index_select(0, self.which)


class Rows(NamedTuple):
    """The S rows whose output is needed of the last block.

    Attributes:
        rows: int64 (S,), b * T + t of each.
        mixed: int64 (K,), the rows of what its attention gives that are read.
        attention, feed_forward: which of the S rows the sub-layers are computed for; None for all.
    """

    rows: Tensor
    mixed: Tensor
    attention: Kept | None = None
    feed_forward: Kept | None = None

    @classmethod
    def scaled(cls, rows: Tensor, length: int, attention: Kept | None, feed_forward: Kept | None) -> "Rows":
        """Rows of windows of `length` tokens that are all computed for."""
        scales = (None if kept is None else Kept(kept.scale[rows // length]) for kept in (attention, feed_forward))
        return cls(rows, rows, *scales)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipping:
    """What every sub-layer of a batch of B windows is computed for; the last block's two by S supervised rows as well.

    Attributes:
        scale, index: float32 and int64 (2 * blocks, B), of which the first `counts` of each sub-layer count.
        mixed, row_scale, row_index: of the last block's, (S',), (2, S') and (2, S'), the first `row_counts` count.
        skipped: the share of the windows' sub-layers that are left out.
    """

    scale: Tensor
    index: Tensor
    mixed: Tensor
    row_scale: Tensor
    row_index: Tensor
    counts: tuple[int, ...]
    row_counts: tuple[int, ...]
    skipped: float = 0.0

    def kept(self, sub_layer: int) -> Kept:
        """The windows of a sub-layer."""
        count = self.counts[sub_layer]
        return Kept(self.scale[sub_layer, :count], self.index[sub_layer, :count])

    def rows(self, rows: Tensor) -> Rows:
        """The last block's; `rows` are those that this was made with, on its device."""
        kept = (Kept(self.row_scale[n, :k], self.row_index[n, :k]) for n, k in enumerate(self.row_counts))
        return Rows(rows, self.mixed[: self.row_counts[0]], *kept)


def skipping(keep: Tensor, rows: Tensor, length: int, *, in_buckets: bool) -> Skipping:
    """The lists of a batch.

    Args:
        keep: float32 (2 * blocks, B) on the CPU, scale of every sub-layer's output, 0 where it is skipped.
        rows: int64 (S,), the rows b * T + t whose output is needed. length: T.
        in_buckets: fill the lists up to few lengths, with what counts nothing.
    """
    windows = keep.shape[1]
    step = max(windows // 32, 1) if in_buckets else 1
    # Attention wants a window at least, and torch.compile takes 1 for special.
    least = min(2, windows) if in_buckets else min(1, windows)
    found = [_filled(scales, windows, step, least) for scales in keep]
    place = torch.cumsum(keep[-2] > 0, 0) - 1
    window, offset = rows // length, rows % length
    row_step = max(len(rows) // 16, 1) if in_buckets else 1
    of_rows = [_filled(scales[window], len(rows), row_step, 0) for scales in keep[-2:]]
    read = (place[window] * length + offset)[of_rows[0][1]]
    return Skipping(
        scale=torch.stack([scale for scale, _, _ in found]),
        index=torch.stack([index for _, index, _ in found]),
        counts=tuple(count for *_, count in found),
        mixed=read.clamp(min=0),  # what fills the list up reads some row
        row_scale=torch.stack([scale for scale, _, _ in of_rows]),
        row_index=torch.stack([index for _, index, _ in of_rows]),
        row_counts=tuple(count for *_, count in of_rows),
    )


def _filled(scale: Tensor, most: int, step: int, least: int) -> tuple[Tensor, Tensor, int]:
    """Scales and indexes (most,) of what is kept, then zeros; and how many count, a multiple of `step` if it can be."""
    which = torch.nonzero(scale)[:, 0]
    count = min(max(-(-len(which) // step) * step, least), most)
    scales, index = torch.zeros(most), torch.zeros(most, dtype=torch.int64)
    scales[: len(which)], index[: len(which)] = scale[which], which
    return scales, index, count
