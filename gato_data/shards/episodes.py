"""All episodes of a mixture as flat arrays: any token of any dataset is found without opening a shard.

Datasets, shards, records, episodes and tokens are numbered through the whole mixture, so one search over one array
serves any number of datasets. About 50 bytes stay in memory for an episode of one record.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gato_data.errors import MixtureError
from gato_data.permutation import Numbers
from gato_data.shards.files import ShardFiles
from gato_data.shards.index import DatasetShard, check_footers
from gato_data.shards.patch_table import PatchTable
from gato_data.shards.views import WHOLE, View, joined_name
from gato_schemas.compression import STORED_HEAD
from gato_schemas.dataset import Manifest
from gato_schemas.errors import FormatError
from gato_schemas.index import ShardIndex
from gato_schemas.index_rows import COLUMNS


@dataclass(frozen=True, slots=True)
class OpenDataset:
    """A dataset folder, the manifest that was read from it, and which of its episodes are meant."""

    folder: Path
    manifest: Manifest
    view: View = WHOLE

    @property
    def name(self) -> str:
        """What a mixture calls it: its name, with the view in brackets."""
        return joined_name(self.manifest.name, self.view)

    @property
    def num_groups(self) -> int:
        """Numbers that its pairs of a task and an agent take up in `EpisodeTable.group`."""
        return max(1, len(self.manifest.tasks)) * max(1, len(self.manifest.agents))

    def shards(self, split: str) -> list[DatasetShard]:
        """Its shards of one split; empty where it has no such split."""
        info = self.manifest.splits.get(split)
        if info is None:
            return []
        return [DatasetShard(self.folder / shard.name, shard, self.manifest, split) for shard in info.shards]


def numbered_tasks(datasets: Sequence[OpenDataset]) -> Iterator[tuple[int, OpenDataset, str]]:
    """Number in `EpisodeTable.kind`, dataset and name of every task."""
    first = 0
    for dataset in datasets:
        agents = max(1, len(dataset.manifest.agents))
        for number, name in enumerate(dataset.manifest.tasks):
            yield first + number * agents, dataset, name
        first += dataset.num_groups


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EpisodeTable:
    """D datasets with S shards, R records and E episodes, in order; all int64 unless said.

    Attributes:
        dataset_episode: (D + 1,), first episode of each dataset.
        shard_record: (S + 1,), first record of each shard.
        episode_record: (E + 1,), first record of each episode.
        number: int32 (R,), of each record in its shard; empty where no dataset is a view, so that all come.
        record_token: (R + 1,), tokens before each record.
        tokens_at: (R,), byte of the shard where the record's tokens stand, or, where they are compressed, their stream.
        tokens_stored: bool (R,), whether they are not.
        timesteps: (E,), of each episode; 0 for documents.
        group: int32 (E,), number of the episode's dataset, task and agent.
        kind: int32 (R,), number of the record's dataset and task.
        loss_tokens: (E,), tokens under the mask.
        patches: where the distinct patches of the records stand.
    """

    dataset_episode: Numbers
    shard_record: Numbers
    episode_record: Numbers
    number: NDArray[np.int32]
    record_token: Numbers
    tokens_at: Numbers
    tokens_stored: NDArray[np.bool_]
    timesteps: Numbers
    group: NDArray[np.int32]
    kind: NDArray[np.int32]
    loss_tokens: Numbers
    patches: PatchTable

    @property
    def num_episodes(self) -> int:
        """Number of episodes, E."""
        return len(self.timesteps)

    def local(self, record: int, shard: int) -> int:
        """The number within its shard of a record that is counted through the mixture."""
        return int(self.number[record] if len(self.number) else record - self.shard_record[shard])

    def locals(self, record: Numbers, shard: Numbers) -> Numbers:
        """`local` of many records; int64 (N,) each."""
        return self.number[record].astype(np.int64) if len(self.number) else record - self.shard_record[shard]

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
        MixtureError: a view leaves out what a dataset has that is not there.
    """
    parts: list[dict[str, NDArray[Any]]] = []
    patches: list[PatchTable] = []
    first_group = 0
    has_views = any(dataset.view.conditions for dataset in datasets)
    for number, dataset in enumerate(datasets):
        others = hashes_of_others(dataset, datasets)
        for shard in dataset.shards(split):
            index, size = shard.load_index()
            if check:
                check_footers(shard.path, index)
            if files is not None:
                files.keep_index(len(parts), index, size)
            kept = dataset.view.records(index, others) if dataset.view.conditions else slice(None)
            patches.append(PatchTable.of(index).take(kept))
            rows = _rows(index, dataset.manifest, first_group)
            rows["dataset"] = np.full(len(index), number, np.int32)
            if has_views:
                rows["number"] = np.arange(len(index), dtype=np.int32)
            # what numpy calls a view would keep the whole index
            parts.append({name: np.array(values[kept]) for name, values in rows.items()})
        first_group += dataset.num_groups
    shard_sizes = np.array([len(part["dataset"]) for part in parts], np.int64)
    types = {**_PER_RECORD, "number": (np.int32, ())} if has_views else _PER_RECORD
    return _join(join_columns(types, parts), PatchTable.join(patches), shard_sizes, len(datasets))


def hashes_of_others(dataset: OpenDataset, datasets: Sequence[OpenDataset]) -> NDArray[np.uint64] | None:
    """Sorted hashes of the episodes that a view leaves out because other datasets have them, in any split.

    Raises:
        FormatError: an index is damaged.
        MixtureError: another dataset is none of the mixture.
    """
    if not (names := dataset.view.others):
        return None
    folders = {other.manifest.name: other for other in datasets}
    if unknown := [name for name in names if name not in folders]:
        raise MixtureError(
            f"{dataset.name} leaves out what {unknown[0]!r} has, which is no dataset of the mixture: give it too"
        )
    found = [
        index.episode_hash[index.chunk == 0]
        for name in names
        for split in folders[name].manifest.splits
        for index, _ in (shard.load_index() for shard in folders[name].shards(split))
    ]
    return np.unique(np.concatenate([np.zeros(0, np.uint64), *found]))


def join_columns(
    types: Mapping[str, tuple[DTypeLike, tuple[int, ...]]], parts: Sequence[Mapping[str, NDArray[Any]]]
) -> dict[str, NDArray[Any]]:
    """Columns of several shards one after the other, each with its dtype and the shape of a row; there may be none."""
    return {
        name: np.concatenate([np.zeros((0, *row), dtype), *(part[name] for part in parts)]).astype(dtype)
        for name, (dtype, row) in types.items()
    }


def sum_per_episode(values: NDArray[Any], first: NDArray[np.integer]) -> Numbers:
    """Sums int64 (E,) over the records of each episode; `first` (E,) are the records where episodes begin."""
    return np.add.reduceat(values, first, dtype=np.int64) if len(first) else np.zeros(0, np.int64)


_PER_RECORD: Mapping[str, tuple[DTypeLike, tuple[int, ...]]] = {
    "dataset": (np.int32, ()),
    "tokens": (np.int64, ()),
    "tokens_at": (np.int64, ()),
    "tokens_stored": (np.bool_, ()),
    "starts": (np.bool_, ()),
    "timesteps": (np.uint32, ()),
    "group": (np.int32, ()),
    "kind": (np.int32, ()),
    "loss_tokens": (np.uint32, ()),
    "by_modality": (np.uint32, (5,)),
}


def _rows(index: ShardIndex, manifest: Manifest, first_group: int) -> dict[str, NDArray[Any]]:
    agents = max(1, len(manifest.agents))
    task = _numbers(index.header.tasks, list(manifest.tasks), index)[index.task]
    group = first_group + task * agents + _numbers(index.header.agents, manifest.agents, index)[index.agent]
    stored = index.tokens_stored
    streams = index.offset.astype(np.int64) + index.columns[:, COLUMNS.index("tokens")]
    return {
        "tokens": index.num_tokens,
        "tokens_at": streams + np.where(stored, STORED_HEAD, 0),
        "tokens_stored": stored,
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
    rows: dict[str, NDArray[Any]], patches: PatchTable, shard_sizes: Numbers, num_datasets: int
) -> tuple[EpisodeTable, RecordCounts]:
    starts = np.flatnonzero(rows["starts"])
    table = EpisodeTable(
        dataset_episode=_running(np.bincount(rows["dataset"][starts], minlength=num_datasets)),
        shard_record=_running(shard_sizes),
        episode_record=np.append(starts, len(rows["starts"])).astype(np.int64),
        number=rows.get("number", np.zeros(0, np.int32)),
        record_token=_running(rows["tokens"]),
        tokens_at=rows["tokens_at"],
        tokens_stored=rows["tokens_stored"],
        timesteps=sum_per_episode(rows["timesteps"], starts),
        group=rows["group"][starts],
        kind=rows["kind"],
        loss_tokens=sum_per_episode(rows["loss_tokens"], starts),
        patches=patches,
    )
    return table, RecordCounts(rows["by_modality"], rows["loss_tokens"], rows["timesteps"])


def _running(counts: NDArray[Any]) -> Numbers:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
