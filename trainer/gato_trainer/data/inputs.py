"""From windows to tensors, with all random choices of a step made on the host."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gato_data.errors import TrainError
from gato_data.reading.batch import PADDING, Batch
from gato_schemas.sequence import (
    PATCH_POSITIONS,
    POSITION_ACTION,
    POSITION_NONE,
    POSITION_SEPARATOR,
    Modality,
)
from gato_trainer.config import ModelConfig
from gato_trainer.data import randomness
from gato_trainer.data.skipping import Skipping, skipping

TARGET_MODALITIES = tuple(modality.name.lower() for modality in Modality)
"""Names of the groups of the per-modality losses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """The S supervised ids of a batch, and what its loss counts by; groups are datasets and target modalities.

    Attributes:
        rows: int64 (S,), the inputs b * T + t that they are predicted from.
        ids: int64 (S,), as rows of the table; -1 of what fills a batch up and counts nothing.
        dataset, modality: int64 (S,), the groups of each. is_action: bool (S,).
        before: int64 (S,), what stood in the same place of the action before, as a row; -1 where that is
            not known: of other targets, and of the first action of an episode in a window.
    """

    rows: Tensor
    ids: Tensor
    dataset: Tensor
    modality: Tensor
    is_action: Tensor
    before: Tensor


class Real(NamedTuple):
    """Windows, supervised rows and patch tokens of a batch, without what fills it up."""

    windows: int
    rows: int
    patches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """B windows as tensors; `T` is the context length.

    Attributes:
        tokens, local_row: int64 (B, T), rows of the table of ids, 0 where a patch or padding is, and
            of that of local positions, -1 where a token has none.
        distinct_patches: uint8 (K, 16, 16, 3), padded as `Batch.distinct_patches`.
        patch_index, patch_slot, patch_row, patch_column: int64 (P,), of every patch token: its row of
            `distinct_patches`, its place b * T + t (B * T of what fills a batch up, and is put nowhere), and its
            rows of the two position tables.
        targets: what is predicted.
        segment: int64 (B, T), of `Batch.segment`; None where every token sees all before it.
        keep: float32 (2 * blocks, B), scale of every sub-layer's output; None outside training.
        skipping: the same as lists of what is computed, which then takes the place of `keep`.
        dropout_key: int64 (B,), 32-bit keys; None without dropout.
        unpadded: what is real of a batch that `padded` filled up; None if all of it is.
    """

    tokens: Tensor
    local_row: Tensor
    distinct_patches: Tensor
    patch_index: Tensor
    patch_slot: Tensor
    patch_row: Tensor
    patch_column: Tensor
    targets: Targets
    segment: Tensor | None = None
    keep: Tensor | None = None
    skipping: Skipping | None = None
    dropout_key: Tensor | None = None
    unpadded: Real | None = None

    @property
    def real(self) -> Real:
        """What a step counts: its work, and the rows that its loss is divided by."""
        return self.unpadded or Real(len(self.tokens), len(self.targets.rows), len(self.patch_index))

    @property
    def skipped(self) -> float:
        """The share of the real windows' sub-layers that stochastic depth leaves out; of a batch on the CPU."""
        if self.skipping is not None:
            return self.skipping.skipped
        return 0.0 if self.keep is None else float((self.keep[:, : self.real.windows] == 0).double().mean())

    def pinned(self) -> "Inputs":
        """A copy in pinned memory, from which a GPU takes it without waiting."""
        return _mapped(self, Tensor.pin_memory)

    def to(self, device: torch.device) -> "Inputs":
        """On a device, without waiting if this is pinned."""
        return _mapped(self, lambda tensor: tensor.to(device, non_blocking=True))

    def copied(self) -> "Inputs":
        """With memory of its own."""
        return _mapped(self, Tensor.clone)

    def tensors(self) -> list[Tensor]:
        """All tensors, in a fixed order."""
        found: list[Tensor] = []

        def take(tensor: Tensor) -> Tensor:
            found.append(tensor)
            return tensor

        _mapped(self, take)
        return found

    def gathered(self, *, in_buckets: bool = False) -> "Inputs":
        """With lists of the windows that each sub-layer is computed for; the same without stochastic depth."""
        if self.keep is None:
            return self
        lists = skipping(self.keep, self.targets.rows, self.tokens.shape[1], in_buckets=in_buckets)
        return replace(self, keep=None, skipping=replace(lists, skipped=self.skipped))

    def unsupervised(self) -> "Inputs":
        """The same windows without any target."""
        return replace(self, targets=_mapped(self.targets, lambda tensor: tensor[:0]))


_Group = TypeVar("_Group", Inputs, Targets, Skipping)


def _mapped(group: _Group, change: Callable[[Tensor], Tensor]) -> _Group:
    """The same with every tensor changed."""
    changed: dict[str, Any] = {}
    for field in fields(group):
        value = getattr(group, field.name)
        if isinstance(value, Tensor):
            changed[field.name] = change(value)
        elif isinstance(value, Targets | Skipping):
            changed[field.name] = _mapped(cast(Any, value), change)
    return replace(group, **changed)


@dataclass(frozen=True, slots=True)
class Randomness:
    """Which step of which run a batch is trained in; None instead means evaluation."""

    seed: int
    step: int


def prepare(batch: Batch, config: ModelConfig, randomness_of: Randomness | None) -> Inputs:
    """Turn a batch into tensors on the CPU, with all random choices of the step made.

    Everything is copied: a streaming reader uses the arrays of a batch again.

    Raises:
        TrainError: a token's position or id lies outside the model's tables.
    """
    length = batch.tokens.shape[1] - 1
    filler = (batch.modality == Modality.PATCH) | (batch.modality == PADDING)
    tokens = table_rows(batch.tokens, filler, config)
    slot = batch.patch_slot
    window, offset = np.divmod(slot, length + 1)
    inside = offset < length
    window, offset = window[inside], offset[inside]
    interval = batch.patch_position[inside].astype(np.int64)
    drawn_by = randomness_of if config.patch_position == "sampled" else None
    row, column = patch_positions(interval, batch.sample[window], offset, drawn_by)
    return Inputs(
        tokens=torch.from_numpy(np.ascontiguousarray(tokens[:, :length])),
        local_row=torch.from_numpy(local_rows(batch.position[:, :length], config)),
        distinct_patches=torch.from_numpy(batch.distinct_patches.copy()),
        patch_index=torch.from_numpy(batch.patch_index[inside].astype(np.int64)),
        patch_slot=torch.from_numpy(window * length + offset),
        patch_row=torch.from_numpy(row),
        patch_column=torch.from_numpy(column),
        targets=_targets(batch, tokens, length),
        segment=_segment(batch, length),
        keep=_keep(batch.sample, config, randomness_of),
        dropout_key=_dropout_key(batch.sample, config, randomness_of),
    )


def _targets(batch: Batch, tokens: NDArray[np.int64], length: int) -> Targets:
    rows = batch.supervised_slot
    window, offset = rows // length, rows % length + 1
    return Targets(
        rows=torch.from_numpy(rows.copy()),
        ids=torch.from_numpy(tokens[window, offset]),
        dataset=torch.from_numpy(batch.dataset[window].astype(np.int64)),
        modality=torch.from_numpy(batch.modality[window, offset].astype(np.int64)),
        is_action=torch.from_numpy(batch.position[window, offset] == POSITION_ACTION),
        before=torch.from_numpy(_before(batch, tokens)[window, offset]),
    )


def _before(batch: Batch, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 (B, T + 1), of every action token the one in the same place of the action before; -1 elsewhere.

    An action is a run of tokens. One that a window cuts at its beginning tells nothing, since what
    is missing is not known.
    """
    slot = np.flatnonzero(batch.position == POSITION_ACTION)
    piece = np.searchsorted(batch.piece_slot, slot, side="right") - 1
    starts = (np.diff(slot, prepend=-2) > 1) | (np.diff(piece, prepend=-1) > 0)
    first = np.flatnonzero(starts)
    run = np.cumsum(starts) - 1
    element = np.arange(len(slot)) - first[run]
    earlier = first[np.maximum(run - 1, 0)]  # where the run before begins
    known = (run > 0) & (piece[earlier] == piece) & (earlier + element < first[run])
    known &= slot[earlier] > batch.piece_slot[piece]
    before = np.full(tokens.shape, -1, np.int64)
    before.reshape(-1)[slot[known]] = tokens.reshape(-1)[slot[(earlier + element)[known]]]
    return before


def _segment(batch: Batch, length: int) -> Tensor | None:
    if batch.segment is None:
        return None
    return torch.from_numpy(batch.segment[:, :length].astype(np.int64))


def table_rows(ids: NDArray[np.integer], without: NDArray[np.bool_], config: ModelConfig) -> NDArray[np.int64]:
    """The row of the token table of every id, in an array of the same shape.

    Args:
        ids: of tokens.
        without: where no id is, but a patch or padding: there the row is 0.
        config: of the model.

    Raises:
        TrainError: an id has no row.
    """
    rows = config.rows.rows(ids.astype(np.int64))
    rows[without] = 0
    if rows.size and rows.min() < 0:
        raise TrainError(
            f"a batch holds the id {ids[rows < 0][0]}, the model's table has rows for ids {config.rows}; "
            f"the shards do not match their manifest: run gato-data verify"
        )
    return rows


def local_rows(position: NDArray[np.int32], config: ModelConfig) -> NDArray[np.int64]:
    """Row of the local position table for each token, or -1 (appendix C.3).

    Observations take rows 0 .. n - 1, all actions the shared row n, separators row n + 1 if they have their own.

    Raises:
        TrainError: an observation is longer than the table.
    """
    n = config.local_positions
    rows = position.astype(np.int64)
    rows[position == POSITION_NONE] = -1
    rows[position == POSITION_ACTION] = n if config.action_position == "shared" else -1
    rows[position == POSITION_SEPARATOR] = n + 1 if config.separator_position == "own" else -1
    observation = position < POSITION_NONE
    if observation.any() and (longest := int(rows[observation].max())) >= n:
        raise TrainError(
            f"an observation has at least {longest + 1} tokens, the model's local position table has {n} rows; "
            f"ingest with --max-observation-tokens {longest + 1} or more, so that the manifest says so"
        )
    return rows


def patch_positions(
    interval: NDArray[np.int64],
    sample: NDArray[np.int64],
    offset: NDArray[np.int64],
    randomness_of: Randomness | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column index of every patch, each in 0..127.

    Training draws uniformly from [low, high); evaluation takes the mean, halves to even (appendix C.3).

    Args:
        interval: (P, 4), row low, row high, column low, column high in 0..128.
        sample: (P,), global sample number of the patch's window.
        offset: (P,), the patch's place in its window.
        randomness_of: the step, or None for the mean.
    """
    result = []
    for axis, stream in enumerate((randomness.STREAM_ROW, randomness.STREAM_COLUMN)):
        low, high = interval[:, 2 * axis], interval[:, 2 * axis + 1]
        if randomness_of is None:
            index = np.rint((low + high) / 2).astype(np.int64)
        else:
            key = randomness.sample_keys(randomness_of.seed, randomness_of.step, sample, stream)
            draw = randomness.uniform(randomness.combine(key, offset))
            index = low + (draw * np.maximum(high - low, 1)).astype(np.int64)
        result.append(np.clip(index, 0, PATCH_POSITIONS - 1))
    return result[0], result[1]


def _keep(sample: NDArray[np.int64], config: ModelConfig, randomness_of: Randomness | None) -> Tensor | None:
    """Stochastic depth: each sub-layer is skipped for each window with the configured chance."""
    if randomness_of is None or config.stochastic_depth == 0:
        return None
    key = randomness.sample_keys(randomness_of.seed, randomness_of.step, sample, randomness.STREAM_DEPTH)
    sub_layer = np.arange(2 * config.blocks, dtype=np.int64)[:, None]
    kept = randomness.uniform(randomness.combine(key[None, :], sub_layer)) >= config.stochastic_depth
    return torch.from_numpy((kept / (1.0 - config.stochastic_depth)).astype(np.float32))


def _dropout_key(sample: NDArray[np.int64], config: ModelConfig, randomness_of: Randomness | None) -> Tensor | None:
    if randomness_of is None or config.dropout == 0:
        return None
    key = randomness.sample_keys(randomness_of.seed, randomness_of.step, sample, randomness.STREAM_DROPOUT)
    return torch.from_numpy((key >> np.uint64(32)).astype(np.int64))
