"""The decoder: pre-norm blocks of relative attention and split GEGLU, and the tied head."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gato_trainer.config import ModelConfig
from gato_trainer.data.inputs import Inputs
from gato_trainer.data.randomness import dropout, row_keys
from gato_trainer.kernels import REFERENCE, Operations
from gato_trainer.model.embedding import Embedding


def distance_features(length: int, width: int, device: torch.device) -> Tensor:
    """float32 (length, width): Transformer-XL's sines and cosines; row c belongs to distance length - 1 - c."""
    distance = torch.arange(length - 1, -1, -1, device=device, dtype=torch.float32)
    exponent = torch.arange(0, width, 2, device=device, dtype=torch.float32) / width
    angle = distance[:, None] * torch.exp(-math.log(10000.0) * exponent)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def rotary_angles(length: int, head_size: int, device: torch.device) -> Tensor:
    """float32 (length, head_size / 2): the rotary angle of each position and pair of features."""
    position = torch.arange(length, device=device, dtype=torch.float32)
    exponent = torch.arange(0, head_size, 2, device=device, dtype=torch.float32) / head_size
    return position[:, None] * torch.exp(-math.log(10000.0) * exponent)


class Stream(NamedTuple):
    """What goes from block to block: the residual stream, and a branch not yet added to it.

    Attributes:
        x: (B, T, D), or (S, D) of some rows. branch: like x. keep: float (B,) or (S,), scale of the
            branch.
    """

    x: Tensor
    branch: Tensor | None = None
    keep: Tensor | None = None


class BlockNoise(NamedTuple):
    """What is random in a block; None outside training.

    Attributes:
        keep_attention, keep_feed_forward: float (B,), scales of its sub-layers' outputs.
        row_key: int64 (B * T,), for dropout. site: int64 (), of the block's first one: a tensor,
            since torch.compile would make code for every value of a number.
    """

    keep_attention: Tensor | None = None
    keep_feed_forward: Tensor | None = None
    row_key: Tensor | None = None
    site: Tensor | None = None

    def of_rows(self, rows: Tensor, length: int) -> "BlockNoise":
        """That of some rows b * T + t of windows of T = `length` tokens."""
        attention, feed_forward = (None if keep is None else keep[rows // length] for keep in self[:2])
        row_key = None if self.row_key is None else self.row_key[rows]
        return BlockNoise(attention, feed_forward, row_key, self.site)


class Norm(nn.Module):
    """Gain and bias of a layer normalisation, which `Operations.add_norm` applies."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.empty(width))
        self.bias = nn.Parameter(torch.empty(width))


class Attention(nn.Module):
    """Causal self-attention; with Transformer-XL positions a fifth matrix projects the distances."""

    def __init__(self, config: ModelConfig, operations: Operations) -> None:
        super().__init__()
        width, heads, size = config.width, config.heads, config.head_size
        self.operations = operations
        self.heads = heads
        self.relative = config.positions == "transformer-xl"
        self.qkv = nn.Parameter(torch.empty(3 * width, width))
        self.output = nn.Parameter(torch.empty(width, width))
        if self.relative:
            self.distance = nn.Parameter(torch.empty(width, width))
            self.content_bias = nn.Parameter(torch.empty(heads, size))
            self.distance_bias = nn.Parameter(torch.empty(heads, size))

    def forward(self, x: Tensor, positions: Tensor, segment: Tensor | None) -> Tensor:
        """(B, T, D) to (B, T, D), before the output projection; `positions` is made by `Gato.positions`."""
        batch, length, width = x.shape
        qkv = self.operations.linear(x, self.qkv).view(batch, length, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if self.relative:
            distance = self.operations.linear(positions.to(x.dtype), self.distance)
            distance = distance.view(length, self.heads, -1).transpose(0, 1)
            bias = (self.content_bias, self.distance_bias)
            mixed = self.operations.relative_attention(q, k, v, distance, *bias, segment)
        else:
            mixed = self.operations.rotary_attention(q, k, v, positions, segment)
        return mixed.transpose(1, 2).reshape(batch, length, width)

    def project(self, mixed: Tensor) -> Tensor:
        """The output projection of any rows (..., D)."""
        return self.operations.linear(mixed, self.output)


class FeedForward(nn.Module):
    """Split GEGLU: width to `feed_forward`, whose halves are value and gate, and from half of it back.

    Of the usual readings of the listed hidden size only this one meets the published parameter
    counts.
    """

    def __init__(self, config: ModelConfig, operations: Operations) -> None:
        super().__init__()
        self.operations = operations
        self.up = nn.Parameter(torch.empty(config.feed_forward, config.width))
        self.up_bias = nn.Parameter(torch.empty(config.feed_forward))
        self.down = nn.Parameter(torch.empty(config.width, config.feed_forward // 2))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        gated = self.operations.geglu(self.operations.linear(x, self.up), self.up_bias)
        return self.operations.linear(gated, self.down)


class Block(nn.Module):
    """One attention and one feed-forward sub-layer, each after a layer normalisation.

    A block hands on its feed-forward output unadded, so that residual, stochastic depth and the
    next normalisation are one operation, across the border between blocks too.
    """

    def __init__(self, config: ModelConfig, operations: Operations) -> None:
        super().__init__()
        self.operations = operations
        self.dropout = config.dropout
        self.attention_norm = Norm(config.width)
        self.attention = Attention(config, operations)
        self.feed_forward_norm = Norm(config.width)
        self.feed_forward = FeedForward(config, operations)

    def forward(
        self, stream: Stream, positions: Tensor, segment: Tensor | None, noise: BlockNoise, rows: Tensor | None = None
    ) -> Stream:
        """Run the block.

        Args:
            stream: of the block before.
            positions: of `Gato.positions`. segment: int64 (B, T), of `Inputs`.
            noise: of this block.
            rows: int64 (S,), the only rows whose output is needed; attention still sees all of
                them.

        Returns:
            The stream, whose branch is the feed-forward output, of all rows or of those.
        """
        x, normed = self.begin(stream)
        mixed = self.attention(normed, positions, segment)
        if rows is not None:
            noise = noise.of_rows(rows, x.shape[1])
            x, mixed = x.flatten(0, 1).index_select(0, rows), mixed.flatten(0, 1).index_select(0, rows)
        return self.finish(x, mixed, noise)

    def begin(self, stream: Stream) -> tuple[Tensor, Tensor]:
        """The residual stream, and what attention reads of it; of any rows."""
        norm = self.attention_norm
        return self.operations.add_norm(*stream, norm.gain, norm.bias)

    def finish(self, x: Tensor, mixed: Tensor, noise: BlockNoise) -> Stream:
        """What comes behind attention: its output projection and the feed-forward sub-layer, of any rows."""
        attended = self._drop(self.attention.project(mixed), noise, 0)
        norm = self.feed_forward_norm
        x, normed = self.operations.add_norm(x, attended, noise.keep_attention, norm.gain, norm.bias)
        return Stream(x, self._drop(self.feed_forward(normed), noise, 1), noise.keep_feed_forward)

    def _drop(self, branch: Tensor, noise: BlockNoise, which: int) -> Tensor:
        if noise.row_key is None or noise.site is None:
            return branch
        return dropout(branch, self.dropout, noise.row_key, noise.site + which)


class Gato(nn.Module):
    """The whole model; its forward gives the loss of every supervised target.

    Attributes:
        recompute: whether a block keeps only what comes in, and is computed again for its backward.
            Nothing in it draws random numbers, so that both times give the same.
    """

    def __init__(
        self, config: ModelConfig, operations: Operations = REFERENCE, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.recompute = False
        self.config = config
        self.operations = operations
        self.dtype = dtype
        self.embedding = Embedding(config, operations)
        self.blocks = nn.ModuleList(Block(config, operations) for _ in range(config.blocks))
        self.norm = Norm(config.width)

    def positions(self, length: int, device: torch.device) -> Tensor:
        """What attention needs to know about positions, the same for all blocks."""
        if self.config.positions == "transformer-xl":
            return distance_features(length, self.config.width, device)
        return rotary_angles(length, self.config.head_size, device)

    def hidden(self, inputs: Inputs, rows: Tensor | None) -> Tensor:
        """The normalised outputs: (S, D) of the given rows, or (B, T, D) of all."""
        x = self.embedding(inputs, self.dtype)
        keep, row_key = inputs.keep, None
        if inputs.dropout_key is not None:
            row_key = row_keys(inputs.dropout_key, x.shape[1])
            x = dropout(x, self.config.dropout, row_key, 0)
        positions = self.positions(x.shape[1], x.device)
        stream = Stream(x)
        for index, block in enumerate(self.blocks):
            last = index == len(self.blocks) - 1
            attention, feed_forward = (None, None) if keep is None else keep[2 * index : 2 * index + 2]
            site = None if row_key is None else torch.full_like(row_key[0], 2 * index + 1)
            noise = BlockNoise(attention, feed_forward, row_key, site)
            stream = self._run(block, stream, positions, inputs.segment, noise, rows if last else None)
        return self.normalised(stream)

    def _run(self, block: nn.Module, *given: Any) -> Stream:
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(block, *given, use_reentrant=False, preserve_rng_state=False)  # type: ignore
        return block(*given)  # type: ignore[no-any-return]

    def normalised(self, stream: Stream) -> Tensor:
        """The outputs that the head reads, of what the last block hands on."""
        return self.operations.add_norm(*stream, self.norm.gain, self.norm.bias)[1]

    def logits(self, hidden: Tensor, first: int, end: int) -> Tensor:
        """(N, end - first): logits of the table's rows [first, end) from normalised outputs (N, D)."""
        return self.operations.linear(hidden, self.embedding.table[first:end])

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """float32 (S,), the loss of each supervised target, and bool (S,), whether it was the likeliest id."""
        hidden = self.hidden(inputs, inputs.targets.rows)
        return self.operations.linear_cross_entropy(hidden, self.embedding.table, inputs.targets.ids)


def count_parameters(model: nn.Module) -> int:
    """Parameters of a model, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())
