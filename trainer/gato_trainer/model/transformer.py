"""The decoder: pre-norm blocks of relative attention and split GEGLU, and the tied head."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from gato_trainer.config import ModelConfig
from gato_trainer.data.inputs import Inputs
from gato_trainer.data.randomness import dropout, row_keys
from gato_trainer.data.skipping import Kept, Rows
from gato_trainer.kernels import REFERENCE, Operations
from gato_trainer.model.casting import CastWeights
from gato_trainer.model.embedding import Embedding
from gato_trainer.model.stream import BlockNoise, Stream


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
        qkv = self.operations.linear(x, self.qkv).view(batch, length, 3, self.heads, width // self.heads)
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
        self.compiled: Callable[..., Stream] | None = None
        self.attention_norm = Norm(config.width)
        self.attention = Attention(config, operations)
        self.feed_forward_norm = Norm(config.width)
        self.feed_forward = FeedForward(config, operations)

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile the block with torch.compile, inside of FSDP's hooks: one graph, which they do not break."""
        self.compiled = torch.compile(self._compute, *args, **options)

    def forward(
        self, stream: Stream, positions: Tensor, segment: Tensor | None, noise: BlockNoise, rows: Rows | None = None
    ) -> Stream:
        """Run the block.

        Args:
            stream: of the block before.
            positions: of `Gato.positions`. segment: int64 (B, T), of `Inputs`.
            noise: of this block.
            rows: the only ones whose output is needed; attention still sees all of them.

        Returns:
            The stream, whose branch is the feed-forward output, of all rows or of those.
        """
        if self.compiled is None:
            return self._compute(stream, positions, segment, noise, rows)
        _mark_varying(stream.kept, stream.branch)
        _mark_varying(noise.attention)
        _mark_varying(noise.feed_forward)
        return self.compiled(stream, positions, segment, noise, rows)

    def _compute(
        self, stream: Stream, positions: Tensor, segment: Tensor | None, noise: BlockNoise, rows: Rows | None
    ) -> Stream:
        x, normed = self.begin(stream, noise.attention)
        if segment is not None and noise.attention is not None:
            segment = noise.attention.of(segment)
        mixed = self.attention(normed, positions, segment)
        if rows is not None:
            noise = noise.of_rows(rows)
            x, mixed = x.flatten(0, 1).index_select(0, rows.rows), mixed.flatten(0, 1).index_select(0, rows.mixed)
        return self.finish(x, mixed, noise)

    def begin(self, stream: Stream, read: Kept | None = None) -> tuple[Tensor, Tensor]:
        """The residual stream, and what attention reads of it; of any rows."""
        norm = self.attention_norm
        return stream.normed(self.operations, norm.gain, norm.bias, read)

    def finish(self, x: Tensor, mixed: Tensor, noise: BlockNoise) -> Stream:
        """What comes behind attention: its output projection and the feed-forward sub-layer, of any rows."""
        attended = self._drop(self.attention.project(mixed), noise, noise.attention, 0)
        norm = self.feed_forward_norm
        stream = Stream(x, attended, noise.attention)
        x, normed = stream.normed(self.operations, norm.gain, norm.bias, noise.feed_forward)
        return Stream(x, self._drop(self.feed_forward(normed), noise, noise.feed_forward, 1), noise.feed_forward)

    def _drop(self, branch: Tensor, noise: BlockNoise, kept: Kept | None, which: int) -> Tensor:
        if noise.row_key is None or noise.site is None:
            return branch
        row_key = noise.row_key if kept is None else kept.of(noise.row_key)
        return dropout(branch, self.dropout, row_key.flatten(), noise.site + which)


def _mark_varying(kept: Kept | None, branch: Tensor | None = None) -> None:
    """Let one graph take any number of kept windows; all other shapes stay fixed in it."""
    if kept is None or kept.which is None or len(kept.which) < 2:
        return
    for tensor in (*kept, branch):
        if tensor is not None:
            torch._dynamo.maybe_mark_dynamic(tensor, 0)


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
        self._weights: CastWeights | None = None
        self._is_cast = False

    def positions(self, length: int, device: torch.device) -> Tensor:
        """What attention needs to know about positions, the same for all blocks."""
        if self.config.positions == "transformer-xl":
            return distance_features(length, self.config.width, device)
        return rotary_angles(length, self.config.head_size, device)

    def hidden(self, inputs: Inputs, *, every: bool = False) -> Tensor:
        """The normalised outputs: (S, D) of the supervised rows, or (B, T, D) of all."""
        x = self.embedding(inputs, self.dtype)
        length, row_key = x.shape[1], None
        if inputs.dropout_key is not None:
            row_key = row_keys(inputs.dropout_key, length)
            x = dropout(x, self.config.dropout, row_key, 0)
            row_key = row_key.view(-1, length)
        positions = self.positions(length, x.device)
        kept = [_kept(inputs, sub_layer) for sub_layer in range(2 * len(self.blocks))]
        stream = Stream.starting(x, kept[0])
        weights = self._weights.of_blocks() if self._weights and self._is_cast else [{}] * len(self.blocks)
        for index, block in enumerate(self.blocks):
            site = None if row_key is None else torch.full_like(row_key[0, 0], 2 * index + 1)
            noise = BlockNoise(kept[2 * index], kept[2 * index + 1], row_key, site)
            last = index == len(self.blocks) - 1 and not every
            rows = _last_rows(inputs, noise, length) if last else None
            run = partial(_run, block, weights[index])
            stream = self._kept(run)(stream, positions, inputs.segment, noise, rows)
        return self.normalised(stream)

    def _kept(self, run: Callable[..., Stream]) -> Callable[..., Stream]:
        """What runs a block, and keeps for its backward what `recompute` says."""
        if not self.recompute or not torch.is_grad_enabled():
            return run
        return partial(checkpoint, run, use_reentrant=False, preserve_rng_state=False)

    @contextmanager
    def cast_once(self) -> Iterator[None]:
        """While parameters stay as they are: matrices of blocks are cast to `dtype` now, not at each use."""
        if self._weights is None:
            self._weights = CastWeights(self.blocks, self.dtype)
        self._weights.refresh()
        self._is_cast = True
        try:
            yield
        finally:
            self._is_cast = False

    def normalised(self, stream: Stream) -> Tensor:
        """The outputs that the head reads, of what the last block hands on."""
        return stream.normed(self.operations, self.norm.gain, self.norm.bias, None)[1]

    def logits(self, hidden: Tensor, first: int, end: int) -> Tensor:
        """(N, end - first): logits of the table's rows [first, end) from normalised outputs (N, D)."""
        return self.operations.linear(hidden, self.embedding.table[first:end])

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """float32 (S,), the loss of each supervised target, and bool (S,), whether it was the likeliest id."""
        hidden = self.hidden(inputs)
        return self.operations.linear_cross_entropy(hidden, self.embedding.table, inputs.targets.ids)


def _run(block: nn.Module, weights: dict[str, Tensor], *given: Any) -> Stream:
    """The block with some of its parameters replaced."""
    stream: Stream = functional_call(block, weights, given) if weights else block(*given)
    return stream


def _kept(inputs: Inputs, sub_layer: int) -> Kept | None:
    """What a sub-layer is computed for: of those that are skipped, lists or only scales."""
    if inputs.skipping is not None:
        return inputs.skipping.kept(sub_layer)
    return None if inputs.keep is None else Kept(inputs.keep[sub_layer])


def _last_rows(inputs: Inputs, noise: BlockNoise, length: int) -> Rows:
    """The supervised rows, for the last block."""
    rows = inputs.targets.rows
    if inputs.skipping is not None:
        return inputs.skipping.rows(rows)
    return Rows.scaled(rows, length, noise.attention, noise.feed_forward)


def count_parameters(model: nn.Module) -> int:
    """Parameters of a model, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())
