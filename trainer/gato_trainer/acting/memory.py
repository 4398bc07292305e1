"""Keys and values of earlier tokens, of every block and environment, so that a token is computed once.

With Transformer-XL's positions a key carries no position: the projected distances W r(d) of a block are one table, of
which a query reads as many of the last rows as it sees keys. With rotary positions keys are kept as they were turned.
Environments that stand alike go through attention together, and the tokens of all through everything else.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gato_data.errors import SettingError
from gato_trainer.kernels.reference import relative_shift, rotate
from gato_trainer.model.stream import BlockNoise, Stream
from gato_trainer.model.transformer import Block, Gato


class _Run(NamedTuple):
    """Neighbouring environments that have as many keys and get as many tokens.

    `row` is the first of their rows among all tokens; the keys of each lie at [first, end), the new ones follow.
    """

    environments: slice
    row: int
    tokens: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys and values of the first P tokens of an environment, (blocks, 2, heads, P, head size)."""

    kept: Tensor

    @property
    def length(self) -> int:
        """Tokens, P."""
        return self.kept.shape[3]


class Memory:
    """The keys and values of E environments.

    Args:
        model: whose blocks they belong to.
        environments: their number, E.
        window: most keys that a token may see, itself included.
        spare: room behind the window, so that the oldest tokens can go without moving the others every time.

    Raises:
        SettingError: there is not so much memory.
    """

    def __init__(self, model: Gato, environments: int, window: int, spare: int = 0) -> None:
        config, table = model.config, model.embedding.table
        self.model, self.window, self.size = model, window, window + spare
        self._blocks = [block for block in model.blocks if isinstance(block, Block)]
        shape = (config.blocks, environments, 2, config.heads, self.size, config.head_size)
        try:
            self._kept = torch.empty(shape, dtype=model.dtype, device=table.device)
        except RuntimeError as error:
            size = math.prod(shape) * model.dtype.itemsize / 2**30
            raise SettingError(
                f"{environments} environments that see {window:,} tokens take {size:,.1f} GiB of memory, which is not "
                "there: take fewer, or see less"
            ) from error
        self._first, self._end = [0] * environments, [0] * environments
        self._scale = 1.0 / math.sqrt(config.head_size)
        self._relative = config.positions == "transformer-xl"
        positions = model.positions(window if self._relative else self.size, table.device)
        self._positions = self._distances(positions) if self._relative else positions

    @torch.inference_mode()
    def _distances(self, positions: Tensor) -> Tensor:
        """(blocks, heads, window, head size): row c is the projected distance window - 1 - c."""
        model, config = self.model, self.model.config
        rows = [model.operations.linear(positions.to(model.dtype), b.attention.distance) for b in self._blocks]
        return torch.stack(rows).view(config.blocks, -1, config.heads, config.head_size).transpose(1, 2).contiguous()

    def length(self, environment: int) -> int:
        """Tokens that the next one of an environment sees."""
        return self._end[environment] - self._first[environment]

    def keep(self, environment: int, count: int) -> None:
        """Forget all but the oldest `count` tokens of an environment."""
        self._end[environment] = self._first[environment] + count

    def drop(self, environment: int, count: int) -> None:
        """Forget the oldest `count` tokens of an environment; what others took from them stays in those."""
        self._first[environment] += count

    def prefix(self, environment: int) -> Prefix:
        """A copy of all that an environment has."""
        return Prefix(self._kept[:, environment, :, :, self._first[environment] : self._end[environment]].clone())

    @torch.inference_mode()
    def begin(self, environment: int, prefix: Prefix | None = None) -> None:
        """Let an environment have the prefix alone, or nothing."""
        self._first[environment], self._end[environment] = 0, 0 if prefix is None else prefix.length
        if prefix is not None:
            self._kept[:, environment, :, :, : prefix.length] = prefix.kept

    @torch.inference_mode()
    def extend(self, vectors: Tensor, counts: Sequence[int], *, every: bool = False) -> Tensor:
        """Append tokens.

        Args:
            vectors: (S, D), embedded tokens of the first environment, then of the second, ...
            counts: tokens of each environment, S in all; 0 leaves one as it is.
            every: give the output of every token, not of each environment's last one alone.

        Returns:
            (S, D) or (environments with tokens, D), normalised outputs.

        Raises:
            ValueError: an environment has more tokens than the window.
        """
        runs = self._runs(counts)
        last = [end - 1 for count, end in zip(counts, accumulate(counts), strict=True) if count]
        stream = Stream(vectors)
        for index, block in enumerate(self._blocks):
            only = index == len(self._blocks) - 1 and not every
            x, normed = block.begin(stream)
            qkv = block.operations.linear(normed, block.attention.qkv).view(len(x), 3, block.attention.heads, -1)
            mixed = [self._attend(index, block, qkv, run, only=only) for run in runs]
            x = x[last] if only else x
            stream = block.finish(x, mixed[0] if len(mixed) == 1 else torch.cat(mixed), BlockNoise())
        for environment, count in enumerate(counts):
            self._end[environment] += count
        return self.model.normalised(stream)

    def _runs(self, counts: Sequence[int]) -> list[_Run]:
        runs: list[_Run] = []
        row = 0
        for environment, count in enumerate(counts):
            if not count:
                continue
            if self.length(environment) + count > self.window:
                raise ValueError(f"{self.length(environment)} + {count} tokens are more than {self.window}")
            if self._end[environment] + count > self.size:
                self._move(environment)
            place = (count, self._first[environment], self._end[environment])
            before = runs[-1] if runs else None
            if before is not None and before.environments.stop == environment and before[2:] == place:
                runs[-1] = before._replace(environments=slice(before.environments.start, environment + 1))
            else:
                runs.append(_Run(slice(environment, environment + 1), row, *place))
            row += count
        return runs

    def _move(self, environment: int) -> None:
        """Bring the tokens of an environment back to the beginning; turned keys are turned back by as much."""
        first, length = self._first[environment], self.length(environment)
        kept = self._kept[:, environment, :, :, first : first + length].clone()
        if not self._relative:
            kept[:, 0] = rotate(kept[:, 0], -self._positions[first])
        self._kept[:, environment, :, :, :length] = kept
        self._first[environment], self._end[environment] = 0, length

    def _attend(self, index: int, block: Block, qkv: Tensor, run: _Run, *, only: bool) -> Tensor:
        """Attention of a run's tokens, (tokens, D); of each environment's last token if `only`."""
        first, end, stop = run.first, run.end, run.end + run.tokens
        group = run.environments.stop - run.environments.start
        of_run = qkv[run.row : run.row + group * run.tokens].view(group, run.tokens, *qkv.shape[1:])
        q, k, v = of_run.permute(2, 0, 3, 1, 4).unbind(0)
        if not self._relative:
            q, k = (rotate(x, self._positions[end:stop]) for x in (q, k))
        kept = self._kept[index, run.environments]
        kept[:, 0, :, end:stop], kept[:, 1, :, end:stop] = k, v
        k, v = kept[:, 0, :, first:stop], kept[:, 1, :, first:stop]
        q = q[:, :, -1:] if only else q
        mask = self._mask(index, block, q, stop - first)
        q = q + block.attention.content_bias[:, None].to(q.dtype) if self._relative else q
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=self._scale)
        return mixed.transpose(1, 2).flatten(0, 1).flatten(1)

    def _mask(self, index: int, block: Block, q: Tensor, keys: int) -> Tensor | None:
        """What is added to the scores of the last tokens of so many: those of distances, and no later key."""
        rows = q.shape[2]
        later = torch.ones(rows, keys, dtype=torch.bool, device=q.device).triu(keys - rows + 1) if rows > 1 else None
        if not self._relative:
            return None if later is None else ~later
        distance = self._positions[index, :, self.window - keys :]
        bias = (q + block.attention.distance_bias[:, None].to(q.dtype)) @ distance.transpose(-1, -2)
        if later is None:
            return bias * self._scale
        return (relative_shift(bias) * self._scale).masked_fill_(later, float("-inf"))
