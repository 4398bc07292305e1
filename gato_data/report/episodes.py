"""Every episode of a dataset in one table, from the indexes alone: what quality checks and distributions stand on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.shards.episodes import join_columns, sum_per_episode
from gato_data.shards.index import index_of
from gato_schemas.dataset import Manifest
from gato_schemas.index import ShardIndex


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeList:
    """E episodes in the order of the manifest's splits and shards; about 80 bytes each.

    Attributes:
        shards: names of the shards that have an index.
        splits, tasks: names that the numbers in `split` and `task` stand for.
        shard, record: int32 (E,), the shard and in it the record where the episode begins.
        split, task: int32 (E,).
        timesteps, images, patches, tokens, loss_tokens: int64 (E,), over all chunks.
        episode_return: float32 (E,), NaN where there are no rewards.
        terminal: bool (E,).
        hash: uint64 (E,), equal for exact duplicates.
    """

    shards: Sequence[str]
    splits: Sequence[str]
    tasks: Sequence[str]
    shard: NDArray[np.int32]
    record: NDArray[np.int32]
    split: NDArray[np.int32]
    task: NDArray[np.int32]
    timesteps: NDArray[np.int64]
    images: NDArray[np.int64]
    patches: NDArray[np.int64]
    tokens: NDArray[np.int64]
    loss_tokens: NDArray[np.int64]
    episode_return: NDArray[np.float32]
    terminal: NDArray[np.bool_]
    hash: NDArray[np.uint64]

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.record)

    def place(self, episode: int) -> str:
        """Where an episode is, as `inspect shard` takes it."""
        return f"{self.shards[self.shard[episode]]} --record {self.record[episode]}"


def list_episodes(folder: Path, manifest: Manifest) -> EpisodeList:
    """All episodes of the shards that have an index; one index is in memory at a time.

    Raises:
        FormatError: an index is damaged, or names a task that the manifest lacks.
    """
    return _listed(indexes(folder, manifest), sorted(manifest.splits), sorted(manifest.tasks))


def list_episodes_of(name: str, found: ShardIndex) -> EpisodeList:
    """The episodes of a single shard."""
    return _listed([(found.header.split, name, found)], [found.header.split], found.header.tasks)


def _listed(found: Iterable[tuple[str, str, ShardIndex]], splits: Sequence[str], tasks: Sequence[str]) -> EpisodeList:
    names: list[str] = []
    pieces: list[dict[str, NDArray[Any]]] = []
    for split, name, index in found:
        rows = _rows(index, tasks)
        size = len(rows["record"])
        rows["shard"] = np.full(size, len(names), np.int32)
        rows["split"] = np.full(size, splits.index(split), np.int32)
        names.append(name)
        pieces.append(rows)
    columns = join_columns({name: (dtype, ()) for name, dtype in _DTYPES.items()}, pieces)
    return EpisodeList(shards=names, splits=splits, tasks=tasks, **columns)


_DTYPES: dict[str, Any] = {
    "shard": np.int32,
    "record": np.int32,
    "split": np.int32,
    "task": np.int32,
    "timesteps": np.int64,
    "images": np.int64,
    "patches": np.int64,
    "tokens": np.int64,
    "loss_tokens": np.int64,
    "episode_return": np.float32,
    "terminal": np.bool_,
    "hash": np.uint64,
}


def indexes(folder: Path, manifest: Manifest) -> Iterator[tuple[str, str, ShardIndex]]:
    """Split, shard name and index of every shard that has one, in order.

    Raises:
        FormatError: an index is damaged.
    """
    for split, info in sorted(manifest.splits.items()):
        for shard in info.shards:
            found = index_of(folder / shard.name)
            if found is not None:
                yield split, shard.name, found


def _rows(found: ShardIndex, tasks: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The columns of one shard's episodes; chunks of an episode are summed, they stand next to each other."""
    first = np.flatnonzero(found.chunk == 0)
    if len(first) and first[0] != 0:
        first = np.concatenate([[0], first])
    numbers = {name: number for number, name in enumerate(tasks)}
    table = np.array([numbers.get(name, -1) for name in found.header.tasks] or [-1], np.int32)
    rows: dict[str, NDArray[Any]] = {
        "record": first,
        "task": table[found.task[first]] if len(first) else np.zeros(0, np.int32),
        "episode_return": found.episode_return[first],
        "terminal": found.is_terminal[first] != 0,
        "hash": found.episode_hash[first],
    }
    for name in ("timesteps", "images", "patches", "tokens", "loss_tokens"):
        column = found.arrays[name if name == "loss_tokens" else f"num_{name}"]
        rows[name] = sum_per_episode(column, first)
    return rows
