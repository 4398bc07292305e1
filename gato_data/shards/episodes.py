"""All episodes of a mixture as flat arrays: any token of any dataset is found without opening a shard.

Datasets, shards, records, episodes and tokens are numbered through the whole mixture, so one search over one array
serves any number of datasets. About 50 bytes stay in memory for an episode of one record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.permutation import Numbers
from gato_data.shards.files import ShardFiles
from gato_data.shards.index import DatasetShard, check_footers
from gato_schemas.dataset import Manifest
from gato_schemas.errors import FormatError
from gato_schemas.index import ShardIndex
from gato_schemas.index_rows import COLUMNS


@dataclass(frozen=True, slots=True)
class OpenDataset:
    """A dataset folder and the manifest that was read from it."""

    folder: Path
    manifest: Manifest

    def shards(self, split: str) -> list[DatasetShard]:
        """Its shards of one split; empty where it has no such split."""
        info = self.manifest.splits.get(split)
        if info is None:
            return []
        return [DatasetShard(self.folder / shard.name, shard, self.manifest, split) for shard in info.shards]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EpisodeTable:
    """D datasets with S shards, R records and E episodes, in order; all int64 unless said.

    Attributes:
        dataset_episode: (D + 1,), first episode of each dataset.
        shard_record: (S + 1,), first record of each shard.
        episode_record: (E + 1,), first record of each episode.
        record_token: (R + 1,), tokens before each record.
        tokens_at: (R,), byte of the record's `tokens` payload in its shard.
        timesteps: (E,), of each episode; 0 for documents.
        group: int32 (E,), number of the episode's dataset, task and agent.
        kind: int32 (R,), number of the record's dataset and task.
        loss_tokens: (E,), tokens under the mask.
    """

    dataset_episode: Numbers
    shard_record: Numbers
    episode_record: Numbers
    record_token: Numbers
    tokens_at: Numbers
    timesteps: Numbers
    group: NDArray[np.int32]
    kind: NDArray[np.int32]
    loss_tokens: Numbers

    @property
    def num_episodes(self) -> int:
        """Number of episodes, E."""
        return len(self.timesteps)

    def local(self, record: int, shard: int) -> int:
        """The number within its shard of a record that is counted through the mixture."""
        return record - int(self.shard_record[shard])

    def place(self, record: int) -> tuple[int, int]:
        """The shard of a record that is counted through the mixture, and its number there."""
        shard = int(np.searchsorted(self.shard_record, record, side="right")) - 1
        return shard, self.local(record, shard)

    @property
    def nbytes(self) -> int:
        """Memory of all arrays."""
        return sum(getattr(self, name).nbytes for name in self.__slots__)

    @property
    def episode_tokens(self) -> Numbers:
        """Tokens of each episode, (E,)."""
        return np.diff(self.record_token[self.episode_record])


@dataclass(frozen=True, slots=True, eq=False)
class RecordCounts:
    """What the index counts in each record, needed only while layouts are found."""

    by_modality: NDArray[np.uint32]
    loss_tokens: NDArray[np.uint32]
    timesteps: NDArray[np.uint32]


def read_table(
    datasets: Sequence[OpenDataset], split: str, files: ShardFiles | None = None, *, check: bool = True
) -> tuple[EpisodeTable, RecordCounts]:
    """Read every index of the split once and join them.

    Args:
        datasets: in the order of their numbers.
        split: "train" or "validation".
        files: over the shards of all datasets, in the same order; keeps the indexes it has room for.
        check: compare some checksums in every shard with those in its index; else no shard is opened.

    Raises:
        FormatError: an index is damaged, or not that of its shard.
    """
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in _PER_RECORD}
    sizes, shard = [], 0
    first_group = 0
    for dataset in datasets:
        records = 0
        for place in dataset.shards(split):
            index, size = place.load_index()
            if check:
                check_footers(place.path, index)
            if files is not None:
                files.keep_index(shard, index, size)
            for name, values in _rows(index, dataset.manifest, first_group).items():
                columns[name].append(np.array(values))  # a view would keep the whole index in memory
            records += len(index)
            shard += 1
            sizes.append(len(index))
        columns["dataset"].append(np.full(records, len(columns["dataset"]), np.int32))
        first_group += max(1, len(dataset.manifest.tasks)) * max(1, len(dataset.manifest.agents))
    return _join({name: _concatenate(name, parts) for name, parts in columns.items()}, sizes, len(datasets))


_PER_RECORD: dict[str, tuple[type, tuple[int, ...]]] = {
    "dataset": (np.int32, ()),
    "tokens": (np.int64, ()),
    "tokens_at": (np.int64, ()),
    "starts": (np.bool_, ()),
    "timesteps": (np.uint32, ()),
    "group": (np.int32, ()),
    "kind": (np.int32, ()),
    "loss_tokens": (np.uint32, ()),
    "by_modality": (np.uint32, (5,)),
}


def _concatenate(name: str, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    dtype, row = _PER_RECORD[name]
    return np.concatenate([np.zeros((0, *row), dtype), *parts]).astype(dtype)


def _rows(index: ShardIndex, manifest: Manifest, first_group: int) -> dict[str, NDArray[Any]]:
    agents = max(1, len(manifest.agents))
    task = _numbers(index.header.tasks, list(manifest.tasks), index)[index.task]
    group = first_group + task * agents + _numbers(index.header.agents, manifest.agents, index)[index.agent]
    return {
        "tokens": index.num_tokens,
        "tokens_at": index.offset.astype(np.int64) + index.columns[:, COLUMNS.index("tokens")],
        "starts": index.chunk == 0,
        "timesteps": index.num_timesteps,
        "group": group.astype(np.int32),
        "kind": (first_group + task * agents).astype(np.int32),
        "loss_tokens": index.loss_tokens,
        "by_modality": index.tokens_by_modality,
    }


def _numbers(names: Sequence[str], known: Sequence[str], index: ShardIndex) -> Numbers:
    """The manifest's number of each name in an index's own table; at least one entry."""
    number = {name: at for at, name in enumerate(known)}
    unknown = sorted(set(names) - set(number))
    if unknown:
        raise FormatError(f"the index of {index.header.shard} names {unknown[0]!r}, which its manifest does not")
    return np.array([number[name] for name in names] or [0], np.int64)


def _join(
    rows: dict[str, NDArray[Any]], shard_sizes: list[int], num_datasets: int
) -> tuple[EpisodeTable, RecordCounts]:
    starts = np.flatnonzero(rows["starts"])

    def per_episode(name: str) -> Numbers:
        if not len(starts):
            return np.zeros(0, np.int64)
        return np.add.reduceat(rows[name], starts, dtype=np.int64)

    episodes = np.bincount(rows["dataset"][starts], minlength=num_datasets)
    table = EpisodeTable(
        dataset_episode=_running(episodes),
        shard_record=_running(np.array(shard_sizes, np.int64)),
        episode_record=np.append(starts, len(rows["starts"])).astype(np.int64),
        record_token=_running(rows["tokens"]),
        tokens_at=rows["tokens_at"],
        timesteps=per_episode("timesteps"),
        group=rows["group"][starts],
        kind=rows["kind"],
        loss_tokens=per_episode("loss_tokens"),
    )
    return table, RecordCounts(rows["by_modality"], rows["loss_tokens"], rows["timesteps"])


def _running(counts: NDArray[Any]) -> Numbers:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
