"""The episodes of a dataset, read one at a time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from gato_data.library.tasks import Task, decode
from gato_data.report.record import open_record
from gato_data.shards.chunks import join
from gato_data.shards.episodes import OpenDataset, hashes_of_others
from gato_data.shards.index import DatasetShard
from gato_schemas.index import ShardIndex
from gato_schemas.record import Record
from gato_schemas.sequence import TokenSequence

_WANTED = "episodes are asked for by a whole number, a slice or a list of whole numbers, not by {!r}"


class TokenizedEpisode:
    """One episode or document as tokens, all its chunks joined; made by `Dataset.episodes`.

    Attributes:
        id: `task/part/ordinal`, unique in the dataset.
        source_id: the source's own id, may be empty.
        dataset: name of its dataset.
        agent: name of who acted; empty for a document.
        episode_return: the sum of all rewards; NaN where there are none.
        is_terminal: whether it ended in a terminal state.
        sequence: all columns.
    """

    def __init__(self, record: Record, sequence: TokenSequence, task: Task) -> None:
        self.id, self.source_id, self.agent = record.episode_id, record.source_episode_id, record.agent
        self.episode_return, self.is_terminal = record.episode_return, record.is_terminal
        self.dataset = task.dataset
        self.sequence, self._task = sequence, task

    @property
    def task(self) -> str:
        """Name of the task."""
        return self._task.name

    @property
    def tokens(self) -> NDArray[Any]:
        """uint16 or int32 (N,), ids; a filler stands where patches are."""
        return self.sequence.tokens

    @property
    def loss_mask(self) -> NDArray[np.uint8]:
        """uint8 (N,), 1 where the token is trained on."""
        return self.sequence.loss_mask

    @property
    def modality(self) -> NDArray[np.uint8]:
        """uint8 (N,), `gato_schemas.sequence.Modality` of each token."""
        return self.sequence.modality

    @property
    def position(self) -> NDArray[np.uint16]:
        """uint16 (N,), the index within the timestep's observation, or a reserved code."""
        return self.sequence.position

    @property
    def patches(self) -> NDArray[np.uint8]:
        """uint8 (P, 16, 16, 3), one for every patch token, in their order."""
        return self.sequence.patches

    @property
    def reward(self) -> NDArray[np.float32]:
        """float32 (T,), NaN where the source has none."""
        return self.sequence.reward

    @cached_property
    def observations(self) -> dict[str, Any]:
        """T values of every field, decoded: bin centres for numbers, uint8 (T, H, W, 3) for images, texts."""
        return decode(self.sequence, self._task)["observations"]

    @cached_property
    def actions(self) -> dict[str, NDArray[Any]]:
        """T values of every action field, decoded."""
        return decode(self.sequence, self._task)["actions"]

    def __len__(self) -> int:
        """Number of timesteps; 0 for a document."""
        return self.sequence.num_timesteps

    def __repr__(self) -> str:
        told = "" if np.isnan(self.episode_return) else f", return {self.episode_return:g}"
        return (
            f"<gato_data.TokenizedEpisode {self.id}: {len(self):,} timesteps, {self.sequence.num_tokens:,} tokens, "
            f"{self.sequence.num_patches:,} patches{told}>"
        )


class Episodes(Sequence[TokenizedEpisode]):
    """The episodes of a split; made by `Dataset.episodes`.

    Each is read from its shard, and compared with its checksum, when it is asked for.

    Attributes:
        num_tokens: of all of them.
    """

    def __init__(self, datasets: Sequence[OpenDataset], split: str) -> None:
        self._shards: list[tuple[OpenDataset, DatasetShard]] = []
        numbers, first_records, tokens = [], [], 0
        for dataset in datasets:
            others = hashes_of_others(dataset, datasets)
            for shard in dataset.shards(split):
                index = shard.load_index()[0]
                kept = dataset.view.records(index, others)
                first = np.flatnonzero(kept & (index.chunk == 0))
                tokens += int(index.num_tokens[kept].sum(dtype=np.int64))
                numbers.append(np.full(len(first), len(self._shards), np.int32))
                first_records.append(first.astype(np.int32))
                self._shards.append((dataset, shard))
        self._shard = np.concatenate([np.zeros(0, np.int32), *numbers])
        self._record = np.concatenate([np.zeros(0, np.int32), *first_records])
        self._index: tuple[int, ShardIndex] | None = None
        self.num_tokens = tokens

    def __len__(self) -> int:
        return len(self._shard)

    @overload
    def __getitem__(self, at: int) -> TokenizedEpisode: ...
    @overload
    def __getitem__(self, at: slice | Sequence[int]) -> list[TokenizedEpisode]: ...
    def __getitem__(self, at: int | slice | Sequence[int]) -> TokenizedEpisode | list[TokenizedEpisode]:
        """One episode by its number, which counts from the end where it is negative; or a list of several.

        Raises:
            IndexError: there is no such episode.
            TypeError: it is no whole number, slice or list of whole numbers; truth values are none.
            FormatError: a shard or an index is damaged.
        """
        if isinstance(at, slice):
            return [self._episode(number) for number in range(*at.indices(len(self)))]
        if isinstance(at, int | np.integer):
            return self._episode(_number(at))
        if isinstance(at, str) or not isinstance(at, Iterable):
            raise TypeError(_WANTED.format(at))
        return [self._episode(number) for number in [_number(each) for each in at]]

    def __iter__(self) -> Iterator[TokenizedEpisode]:
        return (self._episode(number) for number in range(len(self)))

    def _episode(self, number: int) -> TokenizedEpisode:
        at = number + len(self) if number < 0 else number
        if not 0 <= at < len(self):
            raise IndexError(f"episode {number} of {len(self):,}")
        dataset, shard = self._shards[self._shard[at]]
        index = self._index_of(int(self._shard[at]))
        chunks = []
        opened = open_record(shard.path, index, int(self._record[at]))
        for record in range(opened.number, opened.number + opened.record.num_chunks):
            opened = open_record(shard.path, index, record)
            pixels = opened.patches(0, len(opened.index))
            chunks.append(replace(opened.record.sequence, patches=pixels))
        name = opened.record.task
        task = Task(name, dataset.manifest.tasks[name], dataset.folder, dataset.manifest)
        return TokenizedEpisode(opened.record, join(chunks), task)

    def _index_of(self, shard: int) -> ShardIndex:
        """The index of a shard; the last one stays."""
        if self._index is None or self._index[0] != shard:
            self._index = shard, self._shards[shard][1].load_index()[0]
        return self._index[1]

    def __repr__(self) -> str:
        return f"<gato_data.Episodes: {len(self):,}>"


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(_WANTED.format(value))
    return int(value)
