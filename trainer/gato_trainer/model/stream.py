"""What goes from block to block, and what is random on the way."""

from typing import NamedTuple

from torch import Tensor

from gato_trainer.data.skipping import Kept, Rows
from gato_trainer.kernels import Operations


class Stream(NamedTuple):
    """The residual stream, and a branch not yet added to it.

    Attributes:
        x: (B, T, D), or (S, D) of some rows.
        branch: (K, T, D), or (K, D): a sub-layer's output for what it was computed for, `kept`; None for none.
        kept: None if it was computed for all, unscaled.
    """

    x: Tensor
    branch: Tensor | None = None
    kept: Kept | None = None

    @classmethod
    def starting(cls, x: Tensor, like: Kept | None) -> "Stream":
        """With a branch that is zero, for which nothing is compiled that other branches do not need.

        Args:
            x: (B, T, D).
            like: of the branches to come.
        """
        gathered = like is not None and like.which is not None
        count = min(2, len(x)) if gathered else len(x)
        branch = x.new_zeros((count, *x.shape[1:])).requires_grad_(x.requires_grad)
        if like is None:
            return cls(x, branch)
        index = None if like.which is None else like.which.new_zeros(count)
        return cls(x, branch, Kept(like.scale.new_zeros(count), index))

    def normed(self, operations: Operations, gain: Tensor, bias: Tensor, read: Kept | None) -> tuple[Tensor, Tensor]:
        """The sum, like x, and the layer normalisation of what the next sub-layer reads of it, (K, ...)."""
        x, branch, kept = self
        scale, index = (None, None) if kept is None else kept
        if index is None and (read is None or read.which is None):
            return operations.add_norm(x, branch, scale, gain, bias)
        x = operations.add(x, branch, scale, index)
        rows = x if read is None else read.of(x)
        return x, operations.add_norm(rows, None, None, gain, bias)[1]


class BlockNoise(NamedTuple):
    """What is random in a block; None outside training.

    Attributes:
        attention, feed_forward: what its sub-layers are computed for.
        row_key: int64 (B, T), or (S,) of some rows, for dropout. site: int64 (), of the block's first one: a tensor,
            since torch.compile would make code for every value of a number.
    """

    attention: Kept | None = None
    feed_forward: Kept | None = None
    row_key: Tensor | None = None
    site: Tensor | None = None

    def of_rows(self, rows: Rows) -> "BlockNoise":
        """That of some rows."""
        row_key = None if self.row_key is None else self.row_key.flatten().index_select(0, rows.rows)
        return BlockNoise(rows.attention, rows.feed_forward, row_key, self.site)
